// Where the page is: `#/view/segment?name=value`. All of it is in the fragment, so that a link can be
// shared and what stands in it (a text, say) is never sent to a server in an address.
import { signal } from "./html.js";

const START = "fill";

function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...segments] = path.split("/").map(decode);
  return { view: view || START, segments: segments.filter(Boolean), params: Object.fromEntries(new URLSearchParams(query)) };
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
  location.hash = link(view, segments, params);
}

/** Writes the view's state into the address, without a step in the history. */
export function setParams(params) {
  const { view, segments } = route.peek();
  const hash = link(view, segments, params);
  if (hash === location.hash) return;
  history.replaceState(null, "", hash);
  route.value = parse(hash);
}

addEventListener("hashchange", () => (route.value = parse(location.hash)));
