// Jobs: all of them, a new one, several side by side, or one as it goes on.
import { html } from "../../core/html.js";
import { route } from "../../core/router.js";
import { ComparePage } from "./compare.js";
import { JobPage } from "./job.js";
import { JobList } from "./list.js";
import { NewJob } from "./new.js";

export function JobsView() {
  const {
    segments: [place],
    params,
  } = route.value;
  if (!place) return html`<${JobList} />`;
  if (place === "new") return html`<${NewJob} key=${params.like ?? ""} />`;
  if (place === "compare") return html`<${ComparePage} />`;
  return html`<${JobPage} key=${place} id=${place} />`;
}
