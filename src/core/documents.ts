/** Parsed JSON documents before they are typed. */

/** A JSON object, its fields not yet known. */
export type Document = Record<string, unknown>

/** A document read as a record: typed, typed but odd (kept raw, the oddity named), or not a record at all. */
export type Reading<T> = { readonly record: T; readonly odd?: string } | { readonly damage: string }

/** The fields a record cannot do without, with their types. */
export type Shape = Readonly<Record<string, 'string' | 'number' | 'object' | 'array'>>

export function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The document without its undefined fields. */
export function present(document: Document): Document {
  // Assigned to, this one would be no field.
  if (Object.hasOwn(document, '__proto__')) return Object.fromEntries(Object.entries(document).filter(([, value]) => value !== undefined))
  const kept: Document = {}
  for (const name of Object.keys(document)) if (document[name] !== undefined) kept[name] = document[name]
  return kept
}

/** The first field of `shape` that the document lacks, if any. */
export function missingField(document: Document, shape: Shape): string | undefined {
  for (const name in shape) {
    const value = document[name]
    const fits = shape[name] === 'array' ? Array.isArray(value) : shape[name] === 'object' ? isDocument(value) : typeof value === shape[name]
    if (!fits) return name
  }
  return undefined
}
