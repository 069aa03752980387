// The stations of the plant, read every five seconds.

const TEXTS = {
  en: {
    title: "Plant", caption: "All stations", station: "Station", state: "State", parts: "Parts, last hour", yield: "Yield",
    rejects: "Rejects, last hour", bundle: "Bundle", alarms: "Alarms", empty: "No station has written here yet.",
    none: "none", shadow: "shadow mode", recipe: (number) => `recipe ${number}`, ago: (s) => `${s} s ago`,
    problem: (text) => `No data: ${text}`, unreachable: "the overview's server cannot be reached",
    conditions: { running: "Running", alarm: "Alarm", paused: "Paused", waiting: "PLC lost", stopped: "Stopped", failed: "Failed", silent: "No contact" },
  },
  de: {
    title: "Werk", caption: "Alle Stationen", station: "Station", state: "Zustand", parts: "Teile, letzte Stunde", yield: "Gutanteil",
    rejects: "Ausschuss, letzte Stunde", bundle: "Modell", alarms: "Alarme", empty: "Noch hat keine Station hierher geschrieben.",
    none: "keine", shadow: "Schattenbetrieb", recipe: (number) => `Rezept ${number}`, ago: (s) => `vor ${s} s`,
    problem: (text) => `Keine Daten: ${text}`, unreachable: "der Server der Übersicht ist nicht erreichbar",
    conditions: { running: "Läuft", alarm: "Alarm", paused: "Angehalten", waiting: "SPS fehlt", stopped: "Gestoppt", failed: "Ausgefallen", silent: "Kein Kontakt" },
  },
};
const language = new URLSearchParams(location.search).get("lang") ?? navigator.language.slice(0, 2);
const lang = language in TEXTS ? language : "en";
const text = TEXTS[lang];
const PERIOD_MS = 5000;

function element(name, content, ...classes) {
  const made = document.createElement(name);
  made.textContent = content;
  made.classList.add(...classes);
  return made;
}

function cell(content, detail = "", ...classes) {
  const made = element("td", content, ...classes);
  if (detail) made.append(element("span", detail, "small"));
  return made;
}

function row(station) {
  const made = document.createElement("tr");
  made.dataset.condition = station.condition;
  const name = element("th", station.name);
  name.scope = "row";
  const state = document.createElement("td");
  state.append(element("span", text.conditions[station.condition] ?? station.condition, "condition"));
  if (station.condition === "silent" && station.age_s !== null) state.append(element("span", text.ago(Math.round(station.age_s)), "small"));
  if (station.shadow) state.append(element("span", text.shadow, "small"));
  const share = station.parts ? `${(100 * station.passed / station.parts).toFixed(1)} %` : "–";
  const causes = station.rejects.map((reject) => `${reject.class_name || reject.verdict} ${reject.parts}`).join(", ");
  const bundle = [station.recipe ? text.recipe(station.recipe) : "", station.bundle_id.slice(0, 12)].filter(Boolean).join(", ");
  made.append(
    name, state, cell(station.parts, "", "number"), cell(share, "", "number"),
    cell(station.parts - station.passed, causes), cell(station.bundle_name || "–", bundle), cell(station.alarms.join(", ") || text.none),
  );
  return made;
}

async function update() {
  const problem = document.getElementById("problem");
  try {
    const response = await fetch("api/stations");
    const found = await response.json();
    if (!response.ok) throw new Error(found.error ?? response.statusText);
    document.querySelector("tbody").replaceChildren(...found.map(row));
    document.getElementById("empty").hidden = found.length > 0;
    problem.textContent = "";
  } catch (error) {
    problem.textContent = text.problem(error instanceof TypeError ? text.unreachable : error.message);
  }
  document.getElementById("clock").textContent = new Date().toLocaleTimeString(lang);
  setTimeout(update, PERIOD_MS);
}

document.documentElement.lang = lang;
document.title = text.title;
for (const labelled of document.querySelectorAll("[data-text]")) labelled.textContent = text[labelled.dataset.text];
update();
