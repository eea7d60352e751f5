// Shows each <time datetime> in the viewer's own zone; without it, the server's text in UTC stays.

const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const thisYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const anyYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function timeText(moment, now = new Date()) {
  if (moment.toDateString() === now.toDateString()) return `today, ${today.format(moment)}`;
  return (moment.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(moment);
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-plain])")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const text = timeText(moment);
    if (element.textContent !== text) element.textContent = text;
    element.title = exact.format(moment);
  }
}
