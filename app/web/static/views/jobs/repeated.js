// The evaluation that a new job repeats on its model: at the end, and in short while it trains.
import { get } from "../../core/api.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { Select } from "../../ui/controls.js";

const SHOWN = 50;
const QUICK = ["linear_probe", "knn"]; // methods that a run repeats at each of its evaluations

/** The value of the field `evaluations` for an earlier evaluation. */
export function repeated({ id, methods }) {
  return methods.some((method) => QUICK.includes(method)) ? [id, { id, when: "interval" }] : [id];
}

/** job: the draft. Shows nothing where there is no evaluation yet. */
export function RepeatedEvaluation({ job, error }) {
  const found = useSignal([]);
  useEffect(() => {
    get(`/v1/evaluations?limit=${SHOWN}`).then(
      (page) => (found.value = page.data),
      () => {},
    );
  }, []);
  if (!found.value.length) return null;
  const options = [
    { value: "", label: "None" },
    ...found.value.map((each) => ({ value: each.id, label: `${each.name} (${each.models.join(", ")})` })),
  ];
  const choose = (id) => {
    const chosen = found.value.find((each) => each.id === id);
    job.evaluations.value = chosen ? repeated(chosen) : [];
  };
  return html`<${Select} label="Evaluate on labelled items" value=${job.evaluations.value[0] ?? ""} options=${options}
    onChange=${choose} error=${error}
    hint="An earlier evaluation: its score is drawn beside the held-out loss, and it is repeated on the result" />`;
}
