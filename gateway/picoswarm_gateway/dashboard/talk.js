// Messages as they pass the gateway, and the box that sends one.

import { $, atMostEvery, clock, h, keyed, say } from "./dom.js";
import { keepToken, post, token } from "./api.js";

const SHOWN = 120;

/** A write that asks for the token where there is none, or where the gateway does not take it. Returns its answer, or
 * undefined where the reader gave up. */
export async function write(path, body) {
  let complaint = "";
  for (;;) {
    if (!token() && !(await askToken(complaint))) return undefined;
    try {
      return await post(path, body);
    } catch (error) {
      if (error.status !== 401) throw error;
      complaint = "The gateway does not take this token.";
    }
  }
}

/** The dialog for the token. Returns whether there is one now. */
export function askToken(complaint = "") {
  const dialog = $("token-dialog");
  const field = $("token");
  say($("token-complaint"), complaint);
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        if (dialog.returnValue === "ok" && field.value) keepToken(field.value);
        field.value = "";
        showToken();
        resolve(Boolean(token()));
      },
      { once: true },
    );
  });
}

/** Say in the head of the page whether this tab may write. */
export function showToken() {
  const button = $("token-button");
  say(button, token() ? "May write" : "Read only");
  button.title = token() ? "This tab holds a token. Press to forget it." : "Writes need the gateway's token. Press to give it.";
  button.classList.toggle("on", Boolean(token()));
}

/** A payload in letters: base64 that is text becomes text, other bytes become hexadecimal. */
function payloadOf({ payload, encoding }) {
  if (typeof payload !== "string") return payload === undefined ? "" : JSON.stringify(payload);
  if (encoding !== "base64") return payload;
  try {
    return [...atob(payload)].map((letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
  } catch {
    return payload;
  }
}

export class Talk {
  /** `onPick(id)` when the origin of a message is chosen. */
  constructor(model, onPick) {
    Object.assign(this, { model, onPick });
    this.isPaused = false;
    this.word = "";
    this.held = null;
    this.elements = new Map();
    this.soon = atMostEvery(150, () => this.draw());
    $("pause").addEventListener("click", () => this.pause(!this.isPaused));
    $("message-filter").addEventListener("input", (event) => {
      this.word = event.target.value.trim().toLowerCase();
      this.draw();
    });
    $("send-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.draw();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.held = isPaused ? [...this.model.messages] : null;
    $("pause").setAttribute("aria-pressed", String(isPaused));
    say($("pause"), isPaused ? "Go on" : "Pause");
    this.draw();
  }

  draw() {
    const all = this.held || this.model.messages;
    const found = this.word ? all.filter((message) => this.sought(message).includes(this.word)) : all;
    keyed($("messages"), found.slice(0, SHOWN), this.elements, (message) => this.element(message));
    $("no-messages").hidden = found.length > 0;
    say($("no-messages"), all.length ? "No message fits this filter." : "No message since this page was opened.");
  }

  sought(message) {
    return `${message.topic} ${payloadOf(message)} ${this.nameOf(message)}`.toLowerCase();
  }

  element(message) {
    const origin = h("button", { type: "button", class: "plain", onclick: () => this.onPick(message.origin) }, this.nameOf(message));
    const proof = message.is_proven ? h("span", { class: "proven", title: "its origin is proven" }, "proven") : null;
    return h(
      "li",
      {},
      h("time", { class: "quiet mono" }, clock(message.t)),
      h("span", { class: "mono topic" }, message.topic),
      h("span", { class: "origin" }, message.origin ? origin : null, proof),
      h("span", { class: "mono payload" }, payloadOf(message) || "(empty)"),
    );
  }

  nameOf({ origin, name }) {
    return name || this.model.name(origin);
  }

  /** Without a token in the gateway's configuration nobody may write. */
  mayWrite(isAllowed) {
    $("send-button").disabled = !isAllowed;
    $("read-only").hidden = isAllowed;
    $("token-button").hidden = !isAllowed;
  }

  async send() {
    const button = $("send-button");
    const body = { topic: $("topic").value.trim(), payload: $("payload").value, encoding: $("encoding").value };
    button.disabled = true;
    try {
      const answer = await write("api/publish", body);
      if (answer === undefined) this.result("Not sent: it needs a token.", true);
      else this.result(`Sent to ${answer.peers} ${answer.peers === 1 ? "peer" : "peers"}.`, false);
    } catch (error) {
      this.result(error.status ? `Not sent: ${error.message}` : "Not sent: the gateway does not answer.", true);
    }
    button.disabled = false;
    showToken();
  }

  result(text, isBad) {
    $("send-result").classList.toggle("bad", isBad);
    $("send-result").textContent = text;
  }
}
