// Texts of numbers. Decimals stay the exchange's own texts; only their thousands are grouped.

export const DASH = "–";

export function grouped(text) {
  if (text === null || text === undefined || text === "") return DASH;
  const [whole, fraction] = String(text).split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction ? `${spaced}.${fraction}` : spaced;
}

export function price(text, tick) {
  if (text === null || text === undefined || Number(text) === 0) return DASH;
  return tick ? grouped(Number(text).toFixed(decimals(tick))) : grouped(text);
}

export function decimals(step) {
  return (String(step).split(".")[1] ?? "").length;
}

export function size(text, step) {
  return step ? grouped(Number(text).toFixed(decimals(step))) : grouped(text);
}

export function percent(fraction, digits = 1) {
  return Number(fraction) ? `${(Number(fraction) * 100).toFixed(digits)}%` : DASH;
}

export function time(milliseconds) {
  return new Date(Number(milliseconds)).toLocaleTimeString("en-GB", { hour12: false });
}

export function expiryText(yyyymmdd) {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  return `${Number(yyyymmdd.slice(6))} ${months[Number(yyyymmdd.slice(4, 6)) - 1]}`;
}

export function shortHash(hash) {
  return hash ? `${hash.slice(0, 8)}…${hash.slice(-4)}` : DASH;
}
