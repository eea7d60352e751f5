// Stands in for LiveKit's client: no server is here. It records what the page does in `window.rooms`.
(() => {
  const RoomEvent = Object.fromEntries([
    "TrackSubscribed", "TrackUnsubscribed", "AudioPlaybackStatusChanged", "Reconnecting", "Reconnected", "Disconnected",
    "ParticipantPermissionsChanged",
  ].map((name) => [name, name]));
  window.rooms = [];
  class Room {
    handlers = {};
    canPlaybackAudio = false;
    published = [];
    localParticipant = { permissions: { canPublish: false }, publishTrack: async (track) => { this.published.push(track); } };
    constructor() { window.rooms.push(this); }
    on(name, handle) { (this.handlers[name] ??= []).push(handle); return this; }
    emit(name, ...values) { for (const handle of this.handlers[name] ?? []) handle(...values); }
    async connect(url, token) {
      Object.assign(this, { url, token });
      this.emit("TrackSubscribed", { kind: "audio", attach: () => document.createElement("audio"), detach: () => [] });
    }
    async startAudio() { this.canPlaybackAudio = true; }
    async disconnect() { this.isLeft = true; this.emit("Disconnected", 1); }
  }
  async function createLocalAudioTrack() {
    if (window.refusesMicrophone) throw new DOMException("denied", "NotAllowedError");
    window.microphone = {
      isMuted: false,
      mediaStreamTrack: { readyState: "live" },
      async mute() { this.isMuted = true; },
      async unmute() { this.isMuted = false; },
      stop() { this.isStopped = true; },
    };
    return window.microphone;
  }
  window.LivekitClient = { Room, RoomEvent, createLocalAudioTrack };
})();
