// Where the page is: `#/view/segment?name=value`. All of it is in the fragment, so that a link can be
// shared and what stands in it (a text, say) is never sent to a server in an address.
import { signal } from "./html.js";

const START = "fill";

/** "#/view/segment?name=value" → {view, segments, params} */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...segments] = path.split("/").map(decode);
  return {
    view: view || START,
    segments: segments.filter(Boolean),
    params: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray percent sign
  }
}

/** {view, segments, params}: what the address says. */
export const route = signal(parse(location.hash));

/** The address of a place in the page: link("jobs", ["ftjob-1"], {tab: "log"}). Empty params are left out. */
export function link(view, segments = [], params = {}) {
  const path = [view, ...segments].map(encodeURIComponent).join("/");
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#/${path}${query && `?${query}`}`;
}

/** Goes to another place, as a click on its link would. */
export function navigate(view, segments = [], params = {}) {
  write();
  due = null;
  location.hash = link(view, segments, params);
}

/** Writes the view's state into the address, without a step in the history; soon, where it was written just now. */
export function setParams(params) {
  const { view, segments } = route.peek();
  const hash = link(view, segments, params);
  if (hash === (due ?? known)) return;
  due = hash;
  route.value = parse(hash);
  if (timer === null) writeOrWait();
}

const PACE = 350; // ms; Safari throws at more than 100 changes of an address in 30 seconds, which a stroke soon makes

let known = location.hash; // as `route` has taken note of it
let due = null; // what it is to become
let timer = null;
let last = -PACE;

function writeOrWait() {
  timer = null;
  const wait = last + PACE - performance.now();
  if (wait <= 0) write();
  if (due !== null) timer = setTimeout(writeOrWait, wait > 0 ? wait : PACE);
}

function write() {
  if (due === null) return;
  last = performance.now();
  if (location.hash === known) {
    try {
      history.replaceState(null, "", due);
      known = location.hash;
    } catch {
      return; // the browser has had enough for now: once more, later
    }
  }
  due = null; // or the page is on its way to another place, whose address is not this view's
}

addEventListener("click", write, { capture: true }); // which may copy the address, or leave it
addEventListener("pagehide", write);
addEventListener("hashchange", () => {
  due = null;
  known = location.hash;
  route.value = parse(known);
});
