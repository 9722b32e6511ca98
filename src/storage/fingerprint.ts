/** A short name for a text: equal texts, equal names. */
import { hash } from 'node:crypto'

/** 132 bits of SHA-256 as 22 characters. */
export function fingerprint(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22)
}
