/**
 * Optional fields of records. A null is as if the field were absent (not so an item of a list: that has a place of its own); what is of another
 * type is put aside, in `odd` of its record, so that a record is what its type says and loses nothing.
 */
import { type Document, isDocument, missingField, type Shape } from './documents.js'

/** What is kept of a value: undefined for one that is put aside in `odd`, under `within` and `name`. */
export type Field = (value: unknown, within: string, name: string | number, odd: Document) => unknown
export type Fields = ReadonlyMap<string, Field>

/** A record with what was put aside. */
export interface OddFields {
  /** Fields that are of another type than theirs, by name (`model`, `time.archived`, `files.3`); what the document has under this name, as `odd`. */
  readonly odd?: Document
}

/** In place: typing a document changes it. */
export function keepFitting(document: Document, fields: Fields, odd: Document, within = ''): void {
  // By what is there, not by what may be: to look for a field that is absent takes longest.
  for (const name in document) {
    const field = fields.get(name)
    const value = document[name]
    if (field === undefined || value === undefined) continue
    const kept = value === null ? undefined : field(value, within, name, odd)
    if (kept === undefined) delete document[name]
    else if (kept !== value) document[name] = kept
  }
}

/** What was put aside in this process, as it stands on its record: any other field of that name is the document's own. */
const marks = new WeakSet<object>()

/**
 * Leaves what was put aside on its record, and names it; undefined for nothing. A document may have been typed before: that is told again.
 * A field of the document's own that has the name is put aside, too, but makes nothing odd.
 */
export function markOdd(document: Document, odd: Document): string | undefined {
  const { odd: before } = document
  const isMark = isDocument(before) && marks.has(before)
  const mark = isMark ? { ...before, ...odd } : before === undefined ? odd : { odd: before, ...odd }
  if (Object.keys(mark).length === 0) return undefined
  marks.add(mark)
  document.odd = mark
  const { odd: own, ...others } = mark
  return tellOdd(others)
}

export function tellOdd(odd: Document): string | undefined {
  const names = Object.keys(odd)
  return names.length === 0 ? undefined : names.map((name) => `its ${name} is of another type`).join(', ')
}

export function fieldsOf(fields: Readonly<Record<string, Field>>): Fields {
  return new Map(Object.entries(fields))
}

export const text: Field = (value, within, name, odd) => (typeof value === 'string' ? value : putAside(value, within, name, odd))
export const flag: Field = (value, within, name, odd) => (typeof value === 'boolean' ? value : putAside(value, within, name, odd))
/** JSON can write numbers that are too large to be one. */
export const number: Field = (value, within, name, odd) => (Number.isFinite(value) ? value : putAside(value, within, name, odd))
export const document: Field = (value, within, name, odd) => (isDocument(value) ? value : putAside(value, within, name, odd))

/** A document that cannot do without `needs`. */
export function object(needs: Shape, more: Readonly<Record<string, Field>> = {}): Field {
  const fields = fieldsOf(more)
  return (value, within, name, odd) => {
    if (!isDocument(value) || missingField(value, needs) !== undefined) return putAside(value, within, name, odd)
    if (fields.size > 0) keepFitting(value, fields, odd, `${within}${name}.`)
    return value
  }
}

/** A list, of which the items that fit are kept. */
export function list(item: Field): Field {
  return (value, within, name, odd) => {
    if (!Array.isArray(value)) return putAside(value, within, name, odd)
    const inside = `${within}${name}.`
    const kept = keptItems(value, item, inside, odd)
    return kept.length === value.length ? value : kept
  }
}

export function keptItems(items: readonly unknown[], item: Field, within: string, odd: Document): readonly unknown[] {
  // Unlike a field, an item that is null has a place of its own.
  return items.filter((one, at) => (one === null ? putAside(one, within, at, odd) : item(one, within, at, odd)) !== undefined)
}

/** A document that always has some fields: what is given here stands for one that is missing or of another type. */
export function whole(given: Readonly<Record<string, number | string>>, more: Readonly<Record<string, Field>> = {}): Field {
  const fields = fieldsOf(more)
  const always = Object.entries(given)
  return (value, within, name, odd) => {
    if (!isDocument(value)) return putAside(value, within, name, odd)
    const inside = `${within}${name}.`
    for (const [field, otherwise] of always) {
      const held = value[field]
      if (typeof otherwise === 'number' ? Number.isFinite(held) : typeof held === 'string') continue
      if (held !== undefined && held !== null) putAside(held, inside, field, odd)
      value[field] = otherwise
    }
    keepFitting(value, fields, odd, inside)
    return value
  }
}

const cached = whole({ read: 0, write: 0 })
const step = whole({ input: 0, output: 0, reasoning: 0 }, { total: number, cache: cached })

export const tokens: Field = (value, within, name, odd) => {
  const kept = step(value, within, name, odd)
  if (isDocument(kept)) kept.cache ??= { read: 0, write: 0 }
  return kept
}

function putAside(value: unknown, within: string, name: string | number, odd: Document): undefined {
  odd[within + name] = value
  return undefined
}
