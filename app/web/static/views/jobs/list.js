// All jobs, the newest first, as they are now.
import { get } from "../../core/api.js";
import { pause, reconnections } from "../../core/connection.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { link, navigate, route, setParams } from "../../core/router.js";
import { Button, TextField } from "../../ui/controls.js";
import { Empty, ErrorNote, Note, Waiting } from "../../ui/status.js";
import { measure, measured } from "./measured.js";
import { isFound, namesOf } from "./runs.js";
import { hasEnded } from "./states.js";
import { JobTable } from "./table.js";
import { JOBS } from "./watch.js";

const NONE_YET =
  "Drop some text, pictures, sounds or videos, and a model learns to predict masked parts of them. " +
  "Its result can be used as soon as it is published.";
const PAGE = 50;
const SEARCHED = 200; // the newest jobs, while a search is set
const BUSY = 1500; // ms between two looks while a job is under way
const IDLE = 6000;

export function JobList() {
  const jobs = useSignal(null);
  const more = useSignal(false);
  const limit = useSignal(PAGE);
  const error = useSignal(null);
  const workers = useSignal(null);
  const chosen = useSignal([]);
  const search = route.value.params.q ?? "";

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const look = async () => {
      const [page, alive] = await Promise.all([
        get(`${JOBS}?limit=${Math.max(limit.peek(), search ? SEARCHED : 0)}`, { signal }),
        get("/v1/workers", { signal }),
      ]);
      jobs.value = page.data;
      more.value = page.has_more;
      workers.value = alive.data;
      error.value = null;
      await measure(
        page.data.filter((job) => isFound(job, route.peek().params.q ?? "")),
        signal,
      );
    };
    (async () => {
      while (!signal.aborted) {
        try {
          await look();
        } catch (failed) {
          if (signal.aborted) return;
          error.value = failed;
        }
        await pause(jobs.peek()?.every(hasEnded) ? IDLE : BUSY, signal).catch(() => {});
        while (document.hidden && !signal.aborted) await pause(IDLE, signal).catch(() => {});
      }
    })();
    return () => controller.abort();
  }, [limit.value, search !== "", reconnections.value]);

  const toggle = (id) =>
    (chosen.value = chosen.value.includes(id) ? chosen.value.filter((each) => each !== id) : [...chosen.value, id]);
  const found = jobs.value?.filter((job) => isFound(job, search)) ?? [];
  const setSearch = (text) => setParams({ q: text || undefined });
  const addTag = (tag) => search.split(" ").includes(tag) || setSearch(`${search} ${tag}`.trim());
  const waiting = jobs.value?.some((job) => job.status === "queued");
  return html`<div class="view">
    <div class="view-head">
      <div><h1>Jobs</h1><p class="lead">
        Train a model on files of yours: from scratch, or on from one that is there.</p></div>
      <div class="row">
        ${
          jobs.value?.length > 1 &&
          html`
            <${Button} disabled=${chosen.value.length < 2}
              onClick=${() => navigate("jobs", ["compare"], { ids: chosen.value.join(",") })}>
          ${chosen.value.length < 2 ? "Compare" : `Compare ${chosen.value.length}`}<//>`
        }
        <a class="button" href=${link("jobs", ["sweeps"])}>Sweeps</a>
        <a class="button primary" href=${link("jobs", ["new"])}>New job</a>
      </div>
    </div>
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${
      workers.value?.length === 0 &&
      waiting &&
      html`<${Note} kind="warning">
      No worker is alive, so queued jobs wait. Start one with <code>cloze worker</code>; <code>
        cloze serve</code> brings its own unless CLOZE_WORKERS is 0.<//>`
    }
    ${jobs.value === null && !error.value && html`<${Waiting} />`}
    ${
      jobs.value?.length === 0 &&
      html`<div class="panel">
        <${Empty} title="No jobs yet"
          text=${NONE_YET}>
      <a class="button primary" href=${link("jobs", ["new"])}>New job</a><//></div>`
    }
    ${
      (jobs.value?.length > 0 || search) &&
      html`<${TextField} label="Search jobs" type="search" value=${search} onInput=${setSearch}
        placeholder="name, state, tag, method or model"
        hint=${search ? foundText(found, jobs.value, more.value) : undefined} />`
    }
    ${
      found.length > 0 &&
      html`<${JobTable} jobs=${found} metrics=${measured.value} names=${namesOf(jobs.value)} chosen=${chosen.value}
        onToggle=${toggle} onTag=${addTag} />`
    }
    ${
      more.value &&
      html`<div class="row center">
      <${Button} onClick=${() => (limit.value = Math.min(limit.value + PAGE, 1000))}>Show more<//></div>`
    }
  </div>`;
}

function foundText(found, jobs, more) {
  const among = more ? `the newest ${jobs.length}` : `${jobs?.length ?? 0}`;
  return `${found.length} of ${among} jobs`;
}
