// Trial of a candidate bundle beside the one in force: its button with the disagreements so far, its dialog.
import { $, count, decimal, make, percent, renew } from "./elements.js";
import { TEXTS } from "./texts.js";

const SHORT = 12; // characters of a bundle's id

function stateOf({ bundle_id, running }) {
  if (!running) return "ended";
  return bundle_id ? "running" : "opening";
}

function factsOf(trial) {
  const agreed = trial.judged - trial.disagreed;
  return {
    trialCandidate: [trial.folder, trial.bundle_id.slice(0, SHORT)].filter(Boolean).join(", "),
    trialJudged: count(trial.judged),
    trialAgreed: trial.judged ? `${count(agreed)} (${percent((100 * agreed) / trial.judged)})` : "–",
    trialDisagreed: count(trial.disagreed),
    trialTime: trial.ms_per_part === null ? "–" : TEXTS.milliseconds(decimal(trial.ms_per_part, trial.ms_per_part < 10 ? 1 : 0)),
    trialDropped: count(trial.dropped),
  };
}

// trial: null without one. known: whether the state is of now.
export function showTrial(trial, known) {
  const button = $("header [data-open=trial]");
  button.hidden = !trial || !known;
  if (!trial) return;
  const state = stateOf(trial), facts = factsOf(trial);
  button.dataset.state = state;
  const words = TEXTS.trialButton[state](count(trial.disagreed), count(trial.judged));
  if (button.textContent !== words) button.textContent = words;
  renew("#trial .state", state, () => [TEXTS.trialStates[state]]);
  renew("#trial dl", JSON.stringify(facts), () => Object.entries(facts).flatMap(([name, text]) => [make("dt", TEXTS[name]), make("dd", text)]));
}
