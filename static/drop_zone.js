// Drop, choose, paste or photograph; the file goes up once, then the server is told.
const zone = element.querySelector(".drop-zone");
const input = element.querySelector("input[type=file]");
const message = element.querySelector(".message");
const booth = element.querySelector(".booth");
let stream = null;

function say(text, kind = "") {
  message.textContent = text;
  message.className = `message ${kind}`;
}

function rest() {
  zone.removeAttribute("aria-busy");
  input.value = "";
  say("");
}

async function give(files) {
  const list = [...files].slice(0, input.multiple ? 20 : 1);
  if (!list.length || zone.hasAttribute("aria-busy")) return;
  zone.setAttribute("aria-busy", "true");
  try {
    const value = [];
    for (const [index, file] of list.entries()) {
      say(list.length > 1 ? `Sending ${index + 1} of ${list.length}` : "Sending");
      const sent = await upload(file);
      value.push({
        path: sent.path, orig_name: file.name, size: file.size, mime_type: file.type,
        meta: { _type: "gradio.FileData" },
      });
    }
    say("Sent. It is read as soon as its turn comes.");
    props.value = value;
    trigger("submit");
  } catch (error) {
    rest();
    say("The file did not arrive. It may be larger than 200 MB, or the connection broke. Try again.", "wrong");
  }
}

input.addEventListener("change", () => give(input.files));
zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  give(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  const pictures = [...(event.clipboardData?.files ?? [])];
  if (pictures.length && zone.offsetParent !== null) give(pictures);
});

function closeBooth() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  if (booth) booth.hidden = true;
}

async function openBooth() {
  if (!navigator.mediaDevices?.getUserMedia) {
    say("The camera needs a page served over https or from this computer.", "wrong");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    const video = booth.querySelector("video");
    video.srcObject = stream;
    booth.hidden = false;
    await video.play();
    booth.querySelector(".shoot").focus();
  } catch (error) {
    closeBooth();
    say("The camera could not be used. Allow it for this page, or choose a photo.", "wrong");
  }
}

function shoot() {
  const video = booth.querySelector("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeBooth();
  canvas.toBlob((blob) => give([new File([blob], "camera.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.95);
}

element.querySelector(".camera")?.addEventListener("click", openBooth);
element.querySelector(".shoot")?.addEventListener("click", shoot);
element.querySelector(".close")?.addEventListener("click", closeBooth);

watch("value", () => { if (!props.value) rest(); });
