// Comfort only: the page does all of its work without this file.
"use strict";

const form = document.getElementById("ask");
const upload = document.getElementById("upload");
const hint = document.getElementById("upload-hint");
const most = 8_000_000; // bytes, as the server has it

// Show the picture that is about to be sent, and say at once if it is too large.
function preview() {
  const file = upload.files[0];
  document.getElementById("preview")?.remove();
  upload.setCustomValidity("");
  if (!file) return;
  if (file.size > most) {
    upload.setCustomValidity("This picture is larger than 8 MB.");
    upload.reportValidity();
    return;
  }
  const image = new Image(112, 112);
  image.id = "preview";
  image.alt = "the picture that will be sent: " + file.name;
  image.onload = () => URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  hint.before(image);
}

function take(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return;
  const one = new DataTransfer();
  one.items.add(pictures[0]);
  upload.files = one.files;
  preview();
}

upload.addEventListener("change", preview);

// A picture may also be pasted, or dropped anywhere.
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  take(event.dataTransfer.files);
});

// A trace takes a moment: say so, and send once.
form.addEventListener("submit", (event) => {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-busy") === "true") {
    event.preventDefault();
    return;
  }
  button.setAttribute("aria-busy", "true");
  button.textContent = "Searching…";
});
window.addEventListener("pageshow", () => {
  const button = form.querySelector("button");
  button.removeAttribute("aria-busy");
  button.textContent = "Search";
});
