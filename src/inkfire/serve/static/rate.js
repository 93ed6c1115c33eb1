// Keys, the time that the page was looked at, and a second try where the server did not answer.
"use strict";

const vote = document.getElementById("vote");
const undo = document.getElementById("undo");
const texts = document.getElementById("texts");
const note = vote && vote.elements.note;
const dimensions = vote ? [...vote.querySelectorAll(".dimension")] : [];

// ---- the time that the page was looked at ---------------------------------------------------------------------------

let looked = 0;
let since = document.hidden ? null : performance.now();

function lookedFor() {
  return looked + (since === null ? 0 : performance.now() - since);
}

document.addEventListener("visibilitychange", () => {
  looked = lookedFor();
  since = document.hidden ? null : performance.now();
});

// ---- sending ---------------------------------------------------------------------------------------------------------

let sending = false;

async function send(form, button) {
  if (sending) return;
  sending = true;
  const data = new URLSearchParams();
  if (form === vote) vote.elements.seconds.value = (lookedFor() / 1000).toFixed(3);
  for (const [name, value] of new FormData(form)) data.append(name, value);
  if (button && button.name) data.append(button.name, button.value);
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, redirect: "manual" });
    if (answer.type === "opaqueredirect") {
      location.reload();
      return; // what is pressed until the next page is there is nobody's vote
    }
    trouble(`Not saved: ${answer.status === 404 ? "this address is no longer known" : await answer.text()}`);
  } catch {
    trouble("Not saved: the server does not answer. What you gave is still here; try again when it is back.");
  }
  sending = false;
}

function trouble(text) {
  const place = document.getElementById("trouble");
  if (place) place.textContent = text;
}

for (const form of [vote, undo]) {
  if (form) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form, event.submitter);
    });
  }
}

// ---- keys ------------------------------------------------------------------------------------------------------------

function active() {
  const at = dimensions.findIndex((one) => one.contains(document.activeElement));
  return at >= 0 ? at : dimensions.findIndex((one) => one.classList.contains("active"));
}

function go(index) {
  const at = Math.max(0, Math.min(index, dimensions.length - 1));
  const inputs = [...dimensions[at].querySelectorAll("input")];
  (inputs.find((one) => one.checked) || inputs[0]).focus();
}

function mark() {
  const at = dimensions.findIndex((one) => one.contains(document.activeElement));
  if (at >= 0) dimensions.forEach((one, i) => one.classList.toggle("active", i === at));
}

function give(index, input) {
  input.checked = true;
  input.focus();
  if (index >= 0 && index + 1 < dimensions.length) go(index + 1);
}

function step(by) {
  const radios = [...dimensions[active()].querySelectorAll("input[type=radio]")];
  const at = radios.findIndex((one) => one.checked);
  const next = at < 0 ? (by > 0 ? 0 : radios.length - 1) : Math.max(0, Math.min(at + by, radios.length - 1));
  radios[next].checked = true;
  radios[next].focus();
}

function rubricKey(event) {
  const at = Math.max(active(), 0);
  const typed = document.activeElement && document.activeElement.type === "number";
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    go(at + (event.key === "ArrowDown" ? 1 : -1));
  } else if (!typed && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    step(event.key === "ArrowRight" ? 1 : -1);
  } else if (!typed && /^[0-9]$/.test(event.key)) {
    const input = dimensions[at].querySelector(`input[type=radio][value="${event.key}"]`);
    if (!input) return false;
    give(at, input);
  } else if (event.key === "Enter") {
    const missing = dimensions.findIndex((one) => !one.querySelector("input:checked, input[type=number]:valid"));
    if (missing >= 0) {
      go(missing);
      trouble(`No points yet for ${dimensions[missing].querySelector("legend").textContent}.`);
    } else {
      vote.requestSubmit();
    }
  } else {
    return false;
  }
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const at = document.activeElement;
  if (at === note) {
    if (event.key === "Escape" || (event.key === "Enter" && !dimensions.length)) {
      event.preventDefault();
      note.blur();
      if (dimensions.length) go(Math.max(active(), 0));
      else texts.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      rubricKey(event);
    }
    return;
  }
  const key = event.key.toLowerCase();
  const help = document.getElementById("help");
  if (key === "escape" && help) help.open = false;
  let taken = true;
  if (key === "u" && undo) {
    if (!event.repeat && !undo.querySelector("button").disabled) undo.requestSubmit();
  } else if (!vote) {
    taken = false;
  } else if (key === "n") {
    note.focus();
  } else if (event.key === "PageDown" || event.key === "PageUp") {
    texts.scrollBy({ top: (event.key === "PageDown" ? 0.8 : -0.8) * texts.clientHeight });
  } else if (event.key === "Enter" && at && (at.tagName === "BUTTON" || at.tagName === "SUMMARY")) {
    taken = false;
  } else if (dimensions.length) {
    taken = !(event.key === "Enter" && event.repeat) && rubricKey(event);
  } else if (/^[1-4]$/.test(event.key)) {
    if (!event.repeat) vote.requestSubmit(vote.querySelectorAll("button[name=choice]")[Number(event.key) - 1]);
  } else {
    taken = false;
  }
  if (taken) event.preventDefault();
});

document.addEventListener("focusin", mark);
if (dimensions.length) go(0);
else if (texts) texts.focus({ preventScroll: true });
