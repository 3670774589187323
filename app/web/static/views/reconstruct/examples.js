// The examples. examples/LICENCE.md says where each comes from.

const at = (name) => new URL(`../../examples/${name}`, import.meta.url).href;

export const EXAMPLES = [
  { id: "sunflower", title: "Sunflower", kind: "image", file: "sunflower.jpg", type: "image/jpeg" },
  { id: "leopard", title: "Leopard", kind: "image", file: "leopard.jpg", type: "image/jpeg" },
  { id: "rooster", title: "Rooster", kind: "audio", file: "rooster.ogg", type: "audio/ogg" },
  { id: "clock", title: "Clock", kind: "audio", file: "clock.ogg", type: "audio/ogg" },
  { id: "walk", title: "Walk", kind: "video", file: "walk.webp", type: "image/webp" },
  { id: "cars", title: "Cars", kind: "video", file: "cars.mp4", type: "video/mp4" },
].map((example) => ({ ...example, url: at(example.file) }));

/** Its bytes as a File, as if a user had dropped it. */
export async function fetchExample(example, signal) {
  const response = await fetch(example.url, { signal });
  if (!response.ok) throw new Error(`The example ${example.file} could not be read.`);
  return new File([await response.blob()], example.file, { type: example.type });
}
