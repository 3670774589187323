// The answer to a request for labels, as it is shown. Pure functions.

/** The width of a score's bar, from 0 to 1; numbers of a regression have no bar. */
export const shareOf = (type, score) => (type === "regression" ? null : score);

/** A score in words: 97.3 %, or the number of a regression. */
export function scoreText(type, score) {
  if (type === "regression") return Number(score.toPrecision(4)).toString();
  const percent = score * 100;
  return `${percent >= 99.95 || percent < 0.05 ? percent.toFixed(2) : percent.toFixed(1)} %`;
}

/** Whether a label is part of the answer: the best one, or each of several that are assigned. */
export const isAssigned = (item, label) => (item.labels ? item.labels.includes(label) : item.label === label);

/** The lines of an answer: [{key, name, score, standing}], labels of the input or entities of the text. */
export function linesOf(item) {
  if (item.entities)
    return item.entities.map(({ word, label, score }, at) => ({
      key: at,
      name: `${word.trim()}: ${label}`,
      score,
      standing: false,
    }));
  return item.scores.map(({ label, score }) => ({ key: label, name: label, score, standing: isAssigned(item, label) }));
}

/** A sentence about how far the probabilities of a model can be trusted; empty where nothing is known. */
export function describeCalibration(classifier) {
  if (!classifier || classifier.ece === null) return "";
  const gap = (classifier.ece * 100).toFixed(1);
  return `On held-out items, probabilities and accuracy differ by ${gap} percentage points on average.`;
}
