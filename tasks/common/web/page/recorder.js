// A recording of the microphone as a WAV file, which every browser plays and every server reads.

const SAMPLE_RATE = 16000;
const BITS_PER_SECOND = 128000;
// Recordings to train on are not filtered either.
const UNFILTERED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export async function startRecording() {
  if (!navigator.mediaDevices)
    throw new Error("the browser gives its microphone to local addresses and to https only");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: UNFILTERED });
  const recorder = new MediaRecorder(stream, { audioBitsPerSecond: BITS_PER_SECOND }), parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.start();
  return () =>
    new Promise((resolve, reject) => {
      recorder.addEventListener("stop", async () => {
        stream.getTracks().forEach((track) => track.stop());
        try {
          resolve(await asWav(new Blob(parts)));
        } catch {
          reject(new Error("the recording is empty: speak, then stop it"));
        }
      });
      recorder.stop();
    });
}

async function asWav(blob) {
  const decoded = await new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(await blob.arrayBuffer());
  const samples = decoded.getChannelData(0), view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const write = (offset, text) => [...text].forEach((letter, place) => view.setUint8(offset + place, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, SAMPLE_RATE, true);
  view.setUint32(28, 2 * SAMPLE_RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, place) => view.setInt16(44 + 2 * place, 32767 * Math.max(-1, Math.min(1, sample)), true));
  return new File([view.buffer], "recording.wav", { type: "audio/wav" });
}
