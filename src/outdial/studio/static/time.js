// Shows each <time datetime> in the viewer's time zone; without JavaScript, the server's text in UTC stays.

const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const thisYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const anyYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function timeText(time, now = new Date()) {
  if (time.toDateString() === now.toDateString()) return `today at ${today.format(time)}`;
  return (time.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(time);
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
