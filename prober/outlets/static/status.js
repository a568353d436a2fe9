// Keeps the page true without moving it: the same page is fetched again and its changing parts are replaced in place.
// Without this script the page reloads itself by a meta element, and the filter is an ordinary form.
"use strict";

const REFRESH_MS = 10000;
const TYPING_MS = 200;
const PARTS = ["summary", "list", "changes"];

let running = null;

async function refresh(url) {
  if (running) running.abort();
  const mine = (running = new AbortController());
  const timeout = setTimeout(() => mine.abort(), REFRESH_MS);
  try {
    const answer = await fetch(url, { signal: mine.signal, credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const opened = new Set([...document.querySelectorAll("details[open]")].map(position));
    for (const id of PARTS) {
      const old = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (old && fresh && old.innerHTML !== fresh.innerHTML) old.replaceWith(fresh);
    }
    for (const each of document.querySelectorAll("details")) if (opened.has(position(each))) each.open = true;
    document.title = page.title;
    document.body.classList.remove("stale", "paused");
  } catch (error) {
    if (error.name !== "AbortError" || running === mine) document.body.classList.add("stale");
  } finally {
    clearTimeout(timeout);
    if (running === mine) running = null;
  }
}

const position = (details) => details.id || [...document.querySelectorAll("details")].indexOf(details) + details.querySelector("summary").textContent;

// Somebody who reads a chip's details or selects text is not interrupted, and told that what is read grows old: a selection may
// be forgotten, and the page be looked at for hours.
const busy = () =>
  document.hidden || !getSelection().isCollapsed || document.querySelector("#list .chip:hover, #list :focus-visible") !== null;

setInterval(() => {
  const waits = busy();
  document.body.classList.toggle("paused", waits);
  if (!waits) refresh(location.href);
}, REFRESH_MS);
document.addEventListener("visibilitychange", () => document.hidden || refresh(location.href));

const filter = document.getElementById("filter");
if (filter) {
  const field = document.getElementById("q");
  filter.classList.add("live");
  let typing = 0;
  const apply = () => {
    const url = new URL(location.href);
    url.searchParams.delete("page");
    if (field.value) url.searchParams.set("q", field.value);
    else url.searchParams.delete("q");
    history.replaceState(null, "", url);
    refresh(url);
  };
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, TYPING_MS);
  });
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
}
