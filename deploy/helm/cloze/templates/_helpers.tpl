{{- define "cloze.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "cloze.selector" -}}
app.kubernetes.io/name: cloze
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cloze.labels" -}}
{{ include "cloze.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "cloze.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "cloze.varClaim" -}}
{{ .Values.storage.var.existingClaim | default (printf "%s-var" (include "cloze.name" .)) }}
{{- end -}}

{{- define "cloze.modelsClaim" -}}
{{ .Values.storage.models.existingClaim | default (printf "%s-models" (include "cloze.name" .)) }}
{{- end -}}

{{- define "cloze.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "cloze.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "cloze.env" -}}
{{- if not (or .Values.apiKeys.existingSecret .Values.apiKeys.allowOpen) }}
{{- fail "set apiKeys.existingSecret, or apiKeys.allowOpen to run without API keys" }}
{{- end }}
- { name: HOME, value: /tmp } # for caches of libraries: the rest of the image is read-only
- { name: CLOZE_ALLOW_OPEN, value: {{ .Values.apiKeys.allowOpen | quote }} }
{{- if .Values.redis.existingSecret }}
- name: CLOZE_REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.redis.existingSecret }}, key: CLOZE_REDIS_URL } }
{{- else }}
- { name: CLOZE_REDIS_URL, value: "redis://{{ include "cloze.name" . }}-redis:6379/0" }
{{- end }}
{{- if .Values.apiKeys.existingSecret }}
- name: CLOZE_API_KEYS
  valueFrom: { secretKeyRef: { name: {{ .Values.apiKeys.existingSecret }}, key: CLOZE_API_KEYS } }
{{- end }}
{{- range $name, $value := .Values.env }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end -}}

{{- define "cloze.mounts" -}}
- { name: var, mountPath: /srv/cloze/var }
- { name: models, mountPath: /srv/cloze/model_store }
- { name: tmp, mountPath: /tmp }
{{- end -}}

{{- define "cloze.volumes" -}}
- name: var
  persistentVolumeClaim: { claimName: {{ include "cloze.varClaim" . }} }
- name: models
  persistentVolumeClaim: { claimName: {{ include "cloze.modelsClaim" . }} }
- name: tmp
  emptyDir: {}
{{- end -}}

{{/* The resources of a role, with its GPUs. */}}
{{- define "cloze.resources" -}}
{{- $resources := deepCopy .resources }}
{{- if .gpus }}
{{- $limits := merge (dict "nvidia.com/gpu" .gpus) (default dict $resources.limits) }}
{{- $_ := set $resources "limits" $limits }}
{{- end }}
{{- toYaml $resources }}
{{- end -}}

{{/* Where the pods of a role run. */}}
{{- define "cloze.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
