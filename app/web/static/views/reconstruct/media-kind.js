// "image", "audio" or "video": which kind of model a file is for. The server decides by the bytes as well.

const BEGINNING = 65_536; // bytes that are looked at

export async function kindOf(file) {
  const [major] = (file.type || "").split("/");
  if (major === "audio" || major === "video") return major;
  const bytes = new Uint8Array(await file.slice(0, BEGINNING).arrayBuffer());
  const text = new TextDecoder("latin1").decode(bytes);
  if (isAnimated(text)) return "video";
  if (major === "image") return "image";
  if (/^(RIFF....WAVE|fLaC|OggS|ID3|\xff[\xf2-\xfb])/s.test(text)) return "audio";
  if (/^(....ftyp|\x1aE\xdf\xa3)/s.test(text)) return "video";
  return "image"; // the server says what is wrong with it
}

function isAnimated(text) {
  if (text.startsWith("GIF8")) return text.split("\x21\xf9\x04").length > 2;
  if (/^RIFF....WEBPVP8X/s.test(text)) return text.slice(0, 64).includes("ANIM");
  return text.slice(1, 4) === "PNG" && text.slice(0, 1024).includes("acTL");
}
