// Every text of the page; a translation replaces this file.

export const TEXTS = {
  conditions: {
    running: "Running", alarm: "Alarm", paused: "Paused", waiting: "PLC lost", stopping: "Stopping",
    stopped: "Stopped", failed: "Failed", silent: "No contact",
  },
  connecting: "Connecting to the station …",
  noContact: (time) => `No contact with the station for ${time}. The values below are old.`,
  noUpdate: (time) => `No update from the station for ${time}. The values below are old.`,
  stopped: (time) => `The station was stopped as planned ${time} ago. Parts are not inspected.`,
  stopping: "The station is being stopped. New parts are rejected.",
  failed: (time) => `The station has failed ${time} ago. Parts are not inspected. See its log.`,
  tokenChanged: "The token of this station has changed.",
  enterToken: "Enter the new one",
  shadow: "Shadow mode: the PLC is told OK for every part, nothing is rejected.",
  pausedBy: (who, time, reason) => `Paused by ${who} for ${time}: ${reason}. Every part is rejected.`,
  pausedInShadow: (who, time, reason) => `Paused by ${who} for ${time}: ${reason}. Every part is FAULT, the PLC is told OK (shadow mode).`,
  challengeDue: (time) => `Challenge due since ${time}: start it, then put the known bad parts on the line.`,
  challengeRuns: (parts) => `Challenge: put the known bad parts on the line now, ${parts} to come.`,
  plc: "PLC", notConnected: "not connected", camera: "Camera", lost: "lost", disk: "Disk", writeError: "write error",
  unknown: "unknown",
  notices: "Notices", alarms: "Alarms", alarmBegins: (name, text) => `Alarm: ${name}. ${text}`, alarmEnds: (name) => `Alarm over: ${name}.`,
  alarmBegan: (clock, time) => `since ${clock}, for ${time}`, alarmSince: (time) => `for ${time}`,
  lastPart: "Last part", noPart: "No part yet", part: (id) => `Part ${id}`, partWord: "Part", told: (verdict) => `PLC was told ${verdict}.`,
  more: "Show more", andMore: (score, others) => others ? `${score}, and ${others} more` : score,
  figures: "Figures", parts: "Parts", rejects: "Rejects", yield: "Yield",
  shiftSince: (time) => `Shift, ${time}`, hourSince: (time) => `Hour, ${time}`,
  latency: (median, p99) => `Trigger to result: median ${median} ms, 99 % within ${p99} ms`,
  picture: "Picture", noPicture: "No picture of this part", firstPicture: "The first picture comes with the first part",
  pinned: (part, time, why) => `Rejected ${part}, ${time}: ${why}. Press it again for the live picture.`,
  seenBy: (part, camera) => `${part} seen by camera ${camera}`, withoutPicture: "no picture",
  latestRejects: "Latest rejects", noRejects: "None today",
  rejectRate: "Reject rate of the last 8 hours", chartTitle: "Rejected, per 5 min",
  chartSum: (percent, parts) => `8 hours: ${percent} of ${parts}`,
  bar: (time, rejects, parts) => `${time}: ${rejects} of ${parts} rejected`,
  find: "Find part", partId: "Part id", from: "From", until: "Until", verdict: "Verdict", every: "all", search: "Search",
  close: "Close", cancel: "Cancel", foundParts: "Found parts", nothingFound: "No such part on record.",
  searching: "Searching …", found: (count) => (count === 1 ? "1 part" : `${count} parts`),
  details: "Details", bundle: "Bundle", bundleId: "Bundle id", engine: "Engine", software: "Software", started: "Started",
  signIn: "Sign in", signOut: "Sign out", operatorToken: "Token of operators or inspectors, from the station's line.toml",
  pause: "Pause", resume: "Resume", startChallenge: "Challenge", acknowledge: "Acknowledge",
  who: "Your name", reason: "Reason", sending: "Asking the station …",
  refused: (problem) => `Not done: ${problem}`, unreachable: "no contact with the station",
  requests: {
    pause: {
      effect: "From now on every part is rejected, until an operator resumes. A restart does not end the pause.",
      reasons: ["Cleaning", "Change of material", "Lamp or camera", "Fault upstream"],
    },
    resume: { effect: "Parts are inspected again.", reasons: [] },
    challenge: {
      effect: "The next parts on the line must be the known bad parts.",
      reasons: ["Start of the shift", "After a change", "On schedule"],
    },
    acknowledge: {
      effect: "Ends the alarms about past events: an escaped part, a failed challenge, refused rows.",
      reasons: ["Part found", "Cause removed", "False alarm"],
    },
  },
  queue: "Review", mark: "Mark", marks: "Marks", queueEmpty: "No part waits for a review.",
  partsToReview: "Parts to review", choosePart: (id) => `Mark part ${id} together with others`,
  board: "Picture: draw an outline", proposals: "Outlines of the network", noFrame: "No frame was kept: the class alone can be marked.",
  boardHelp: "Outline: click corners, or draw with the pointer held down; click a dashed outline to take the network's own. Keys: arrows move the cursor (with Shift by one pixel), Enter sets a corner or takes a dashed outline, Backspace undoes.",
  outlineState: (outlines, corners, x, y) => `${outlines === 1 ? "1 outline" : `${outlines} outlines`}, ${corners === 1 ? "1 open corner" : `${corners} open corners`}, cursor ${x}, ${y}`,
  closeOutline: "Close outline", undo: "Undo", takeOutline: (name, number) => `${name}, outline ${number}`,
  truth: "This part is", reallyGood: "really good", reallyDefective: "really defective", wrongClass: "of another class", unclear: "unclear",
  className: "Class of the defect", note: "Note", markPart: "Mark part", markParts: (count) => (count === 1 ? "Mark 1 chosen part" : `Mark ${count} chosen parts`),
  truths: { good: "good", defective: "defective", unclear: "unclear" },
  markedAs: (truth, classes) => (classes ? `${truth}: ${classes}` : truth), markedBy: (mark, who, time) => `Marked ${mark}, by ${who}, ${time}`,
  marked: (count) => (count === 1 ? "1 part marked" : `${count} parts marked`), outlinesOfOne: "outlines belong to one part; choose no others, or undo them",
  reasons: {},
  seconds: (count) => `${count} s`, minutes: (count) => `${count} min`, hours: (count, minutes) => `${count} h ${minutes} min`,
};

// Fills the static texts of the page.
export function fillTexts(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = TEXTS[element.dataset.text];
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", TEXTS[element.dataset.label]);
}
