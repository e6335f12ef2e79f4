// Records a short clip with the camera; it goes up when it is done, as a dropped file would.
const booth = element.querySelector(".booth");
const video = element.querySelector("video");
const open = element.querySelector(".open");
const go = element.querySelector(".go");
const message = element.querySelector(".message");
const withSound = element.querySelector("input[type=checkbox]");
const MOST = Number(element.querySelector(".clip-recorder").dataset.seconds);
let stream = null;
let recorder = null;
let ticking = null;

function say(text, kind = "") {
  message.textContent = text;
  message.className = `message ${kind}`;
}

function close() {
  clearInterval(ticking);
  if (recorder?.state === "recording") { recorder.ondataavailable = recorder.onstop = null; recorder.stop(); }
  stream?.getTracks().forEach((track) => track.stop());
  stream = recorder = null;
  booth.hidden = true;
  open.hidden = false;
  go.textContent = "Record";
}

async function start() {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
    say("The camera needs a page served over https or from this computer.", "wrong");
    return;
  }
  try {
    const picture = { width: { ideal: 640 }, facingMode: "user" };
    stream = await navigator.mediaDevices.getUserMedia({ video: picture, audio: withSound.checked });
    video.srcObject = stream;
    booth.hidden = false;
    open.hidden = true;
    say("Begin with a calm face, looking ahead.");
    await video.play();
    go.focus();
  } catch (error) {
    close();
    say("The camera could not be used. Allow it for this page, or choose a clip.", "wrong");
  }
}

async function send(parts, type) {
  const ending = type.includes("mp4") ? "mp4" : "webm";
  close();
  say("Sending");
  try {
    const file = new File(parts, `recording.${ending}`, { type: type.split(";")[0] });
    const sent = await upload(file);
    const meta = { _type: "gradio.FileData" };
    props.value = [{ path: sent.path, orig_name: file.name, size: file.size, mime_type: file.type, meta }];
    say("");
    trigger("submit");
  } catch (error) {
    say("The recording did not arrive. The connection may have broken. Try again.", "wrong");
  }
}

function record() {
  const parts = [];
  recorder = new MediaRecorder(stream);
  const type = recorder.mimeType || "video/webm";
  recorder.ondataavailable = (event) => { if (event.data.size) parts.push(event.data); };
  recorder.onstop = () => send(parts, type);
  recorder.start(500);
  const begun = Date.now();
  go.textContent = "Stop";
  ticking = setInterval(() => {
    const seconds = (Date.now() - begun) / 1000;
    say(`Recording ${seconds.toFixed(0)} of at most ${MOST} seconds`);
    if (seconds >= MOST) recorder.stop();
  }, 200);
}

open.addEventListener("click", start);
go.addEventListener("click", () => (recorder?.state === "recording" ? recorder.stop() : record()));
element.querySelector(".close").addEventListener("click", () => { close(); say(""); });
