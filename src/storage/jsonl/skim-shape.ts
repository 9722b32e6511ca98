/** What a skim is to find, as it is asked for and as it is walked by. */
import type { Skimmed } from './skim.js'

/** What to find below an object: a slot for the value of a field, or fields inside it. */
export interface SkimShape {
  readonly [field: string]: number | SkimShape | SkimObject | SkimItems
}

/** A slot for the value of a field, and fields inside it where it is an object. */
export interface SkimObject {
  readonly slot: number
  readonly inside: SkimShape
}

/** The value is a list: `each` is looked for in every item that is an object, and `end` is called after it. */
export interface SkimItems {
  readonly each: SkimShape
  /** Called before every object, and where the list stands again: items that `end` was called for until then do not count. */
  readonly begin?: (() => void) | undefined
  /** Slots of `each` are set anew for every item. */
  readonly end: (found: Skimmed) => void
}

export interface Field {
  readonly name: Uint8Array
  readonly slot: number
  readonly inside: Level | undefined
  readonly items: { readonly level: Level; readonly begin: (() => void) | undefined; readonly end: (found: Skimmed) => void } | undefined
}

export interface Level {
  /** The fields whose names are so many bytes long. */
  readonly byLength: readonly (readonly Field[])[]
  /** Of the fields, and of those inside them. */
  readonly slots: readonly number[]
  /** `begin` of the lists, likewise. */
  readonly begins: readonly (() => void)[]
}

export function levelOf(shape: SkimShape): Level {
  const fields = Object.entries(shape).map(([name, what]): Field => {
    const field = { name: new TextEncoder().encode(name), slot: -1, inside: undefined, items: undefined }
    if (typeof what === 'number') return { ...field, slot: what }
    if (isItems(what)) return { ...field, items: { level: levelOf(what.each), begin: what.begin, end: what.end } }
    return isObject(what) ? { ...field, slot: what.slot, inside: levelOf(what.inside) } : { ...field, inside: levelOf(what) }
  })
  const longest = Math.max(-1, ...fields.map(({ name }) => name.length))
  return {
    byLength: Array.from({ length: longest + 1 }, (_, length) => fields.filter(({ name }) => name.length === length)),
    slots: fields.flatMap(({ slot, inside, items }) => [...(slot < 0 ? [] : [slot]), ...(inside?.slots ?? []), ...(items?.level.slots ?? [])]),
    begins: fields.flatMap(({ inside, items }) => [...(inside?.begins ?? []), ...(items?.begin === undefined ? [] : [items.begin])]),
  }
}

function isItems(what: SkimShape | SkimObject | SkimItems): what is SkimItems {
  return typeof (what as { end?: unknown }).end === 'function'
}

function isObject(what: SkimShape | SkimObject): what is SkimObject {
  const { slot, inside } = what as { slot?: unknown; inside?: unknown }
  return typeof slot === 'number' && typeof inside === 'object'
}

export function highest(shape: SkimShape): number {
  return Math.max(-1, ...Object.values(shape).map(highestIn))
}

function highestIn(what: number | SkimShape | SkimObject | SkimItems): number {
  if (typeof what === 'number') return what
  if (isItems(what)) return highest(what.each)
  return isObject(what) ? Math.max(what.slot, highest(what.inside)) : highest(what)
}
