// Shows each <time datetime> in the browser's time zone, relative to today, and reports that zone to the server, which
// uses it for filters, charts and exports.

const clock = new Intl.DateTimeFormat("en-US", { hour: "numeric", minute: "2-digit" });
const withSeconds = new Intl.DateTimeFormat("en-US", { hour: "numeric", minute: "2-digit", second: "2-digit" });
const thisYear = new Intl.DateTimeFormat("en-US", { day: "numeric", month: "short" });
const anyYear = new Intl.DateTimeFormat("en-US", { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat("en-US", { dateStyle: "full", timeStyle: "long" });
// Behind https, the studio reads only cookies that no other host can have set.
const IS_SECURE = location.protocol === "https:";
const ZONE_COOKIE = IS_SECURE ? "__Host-outdial_zone" : "outdial_zone";
const YEAR_SECONDS = 31536000;

export function clockText(time, format = clock) {
  // Newer browsers put a narrow space before AM.
  return format.format(time).replaceAll("\u202f", " ");
}

export function timeText(time, now = new Date()) {
  if (time.toDateString() === now.toDateString()) return `today at ${clockText(time)}`;
  return `${(time.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(time)} at ${clockText(time)}`;
}

export function secondsText(time) {
  return clockText(time, withSeconds);
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-plain])")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    const text = timeText(time);
    if (element.textContent !== text) element.textContent = text;
    element.title = exact.format(time);
  }
}

// A page that was rendered before the server knew the zone is loaded once more.
export function reportZone() {
  const pair = `${ZONE_COOKIE}=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)}`;
  if (hasCookie(pair)) return;
  document.cookie = `${pair}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${IS_SECURE ? "; secure" : ""}`;
  if (hasCookie(pair) && "stream" in document.body.dataset && "reloadable" in document.body.dataset) location.reload();
}

function hasCookie(pair) {
  return document.cookie.split("; ").includes(pair);
}
