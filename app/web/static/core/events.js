// Server-sent events over fetch, because EventSource cannot send a key. Continues after the last event
// when a connection breaks, like EventSource.
import { isAbort, send } from "./api.js";
import { pause, reconnected } from "./connection.js";

/**
 * Follows a stream until it ends (204, or an event named in `last`) or `signal` is aborted.
 * onEvent({event, data, id}): data is parsed JSON. Rejects with the server's ApiError.
 */
export async function follow(path, { onEvent, signal, last = "end" }) {
  const state = { id: null, retry: 1000 };
  try {
    for (;;) {
      const headers = { accept: "text/event-stream", ...(state.id === null ? {} : { "last-event-id": state.id }) };
      const response = await send(path, { headers, signal });
      if (response.status === 204) return;
      if (await read(response, state, onEvent, last, signal)) return;
      await pause(state.retry, signal);
    }
  } catch (error) {
    if (!isAbort(error) && !signal?.aborted) throw error;
  }
}

/** Reads one connection to its end. Returns true if the last event has arrived. */
async function read(response, state, onEvent, last, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = parser(state);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      for (const event of parse(value)) {
        onEvent(event);
        if (event.event === last) return true;
      }
    }
  } catch (error) {
    if (isAbort(error) || signal?.aborted) throw error;
    await reconnected();
    return false;
  } finally {
    reader.cancel().catch(() => {}); // a broken connection has nothing to cancel
  }
}

/** Parses chunks of text into events (HTML standard, section 9.2.6). Sets `state.id` and `state.retry`. */
export function parser(state) {
  let rest = "";
  let event = "message";
  let data = [];
  return (text) => {
    const events = [];
    const lines = (rest + text).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) events.push({ event, data: JSON.parse(data.join("\n")), id: state.id });
        event = "message";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event = value;
      else if (field === "data") data.push(value);
      else if (field === "id") state.id = value;
      else if (field === "retry" && /^\d+$/.test(value)) state.retry = Number(value);
    }
    return events;
  };
}
