// A failed job: the reason is the server's; what to do about it is here.

const ADVICE = {
  out_of_memory:
    "Take a smaller batch, or cut it into more micro-batches (gradient accumulation steps); " +
    "a smaller model or shorter sequences need less as well.",
  poisoned:
    "The process died again and again at the same place. The log says with what; " +
    "a retry goes on from the last checkpoint.",
  deadline_exceeded: "Its time was over. Retry it with more, or publish its last checkpoint as it is.",
  invalid_data: "Mend the files that the message names, upload them, and start again with these settings.",
  invalid_value: "Start again with these settings, and change the one that the message names.",
  model_not_found: "The model that it was to continue from is gone. Start again from another one.",
  file_not_found: "One of its files is gone. Upload it again and start again with these settings.",
  insufficient_storage: "Free some disk space (old jobs and files can be deleted), then retry.",
  checkpoint_broken: "No checkpoint could be read. Start again with these settings.",
};

export function adviceFor(error) {
  if (ADVICE[error.code]) return ADVICE[error.code];
  return error.type === "user_error"
    ? "Start again with these settings, and change what the message names."
    : "This is the server's fault, not yours. The log has more; a retry goes on from the last checkpoint.";
}
