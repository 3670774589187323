// Jobs: all of them, a new one, several side by side, or one as it goes on.
import { html } from "../../core/html.js";
import { route } from "../../core/router.js";
import { ComparePage } from "./compare.js";
import { JobPage } from "./job.js";
import { JobList } from "./list.js";
import { NewJob } from "./new.js";
import { SweepList, SweepPage } from "./sweeps.js";

export function JobsView() {
  const {
    segments: [place, id],
    params,
  } = route.value;
  if (!place) return html`<${JobList} />`;
  if (place === "new") return html`<${NewJob} key=${params.like ?? ""} />`;
  if (place === "compare") return html`<${ComparePage} />`;
  if (place === "sweeps") return id ? html`<${SweepPage} key=${id} id=${id} />` : html`<${SweepList} />`;
  return html`<${JobPage} key=${place} id=${place} />`;
}
