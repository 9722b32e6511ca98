/** Takes what was found out of a text, and leaves a note of what it was. */
import type { Found } from './redact-patterns.js'

/** What overlaps is one secret; it is named by what begins first. */
export function withoutSecrets(text: string, found: readonly Found[]): { readonly text: string; readonly redacted: number } {
  if (found.length === 0) return { text, redacted: 0 }
  const pieces: string[] = []
  let kept = 0
  const merged = mergedSpans(found)
  for (const { start, end, rule } of merged) {
    pieces.push(text.slice(kept, start), `[redacted: ${rule}]`)
    kept = end
  }
  return { text: pieces.join('') + text.slice(kept), redacted: merged.length }
}

function mergedSpans(found: readonly Found[]): readonly Found[] {
  const sorted = [...found].sort((a, b) => a.start - b.start || b.end - a.end || (a.rule < b.rule ? -1 : 1))
  const merged: { start: number; end: number; readonly rule: string }[] = []
  for (const span of sorted) {
    const last = merged.at(-1)
    if (last !== undefined && span.start < last.end) last.end = Math.max(last.end, span.end)
    else if (span.end > span.start) merged.push({ ...span })
  }
  return merged
}
