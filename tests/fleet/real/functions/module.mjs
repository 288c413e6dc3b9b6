import { setTimeout as later } from "node:timers/promises";

let count = 0;
export const counts = async () => { await later(1); count += 1; return count; };
