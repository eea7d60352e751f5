// Shows each <time datetime> in the viewer's time zone, relative to today: the one chosen in the account, else that of
// this device, which is reported to the server, because filters, charts and exports use it too.

const timeZone = document.documentElement.dataset.zone;
const formatted = (options) => new Intl.DateTimeFormat("en-US", { timeZone, ...options });
const clock = formatted({ hour: "numeric", minute: "2-digit" });
const withSeconds = formatted({ hour: "numeric", minute: "2-digit", second: "2-digit" });
const thisYear = formatted({ day: "numeric", month: "short" });
const anyYear = formatted({ day: "numeric", month: "short", year: "numeric" });
const onlyYear = formatted({ year: "numeric" });
const exact = formatted({ dateStyle: "full", timeStyle: "long" });
// Behind https, the studio reads only cookies that no other host can have set.
const IS_SECURE = location.protocol === "https:";
const ZONE_COOKIE = IS_SECURE ? "__Host-outdial_zone" : "outdial_zone";
const YEAR_SECONDS = 31536000;

export function clockText(time, format = clock) {
  // Newer browsers put a narrow space before AM.
  return format.format(time).replaceAll("\u202f", " ");
}

export function timeText(time, now = new Date(), format = clock) {
  if (anyYear.format(time) === anyYear.format(now)) return `today at ${clockText(time, format)}`;
  return `${(onlyYear.format(time) === onlyYear.format(now) ? thisYear : anyYear).format(time)} at ${clockText(time, format)}`;
}

export function secondsText(time) {
  return clockText(time, withSeconds);
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-plain])")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    const text = timeText(time, new Date(), "seconds" in element.dataset ? withSeconds : clock);
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
