/**
 * The default redactor: the recommended rules of secretlint, and a short list of what they lack in running text.
 *
 * The rules are run here, not by @secretlint/core: that keeps the marks of its profiler for ever (11 KB for each text), and heeds
 * comments in the text that switch it off.
 */
import { createRequire } from 'node:module'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import type { Redactor } from '../ports.js'
import { withoutSecrets } from './redact.js'
import { type Found, findPatterns, findPrivateKeys, PATTERNS_VERSION } from './redact-patterns.js'

/** UTF-16 units that are searched before other work may run; pieces overlap by more than the longest secret but a private key. */
const PIECE = 64 * 1024
const OVERLAP = 20 * 1024

/** Loads its rules with the first text. The name has the versions of both. */
export function secretlintRedactor(): Redactor {
  let rules: Promise<readonly RuleCreator[]> | undefined
  return {
    name: `secretlint ${presetVersion()}, patterns ${PATTERNS_VERSION}`,
    async redact(text) {
      rules ??= loadRules().catch((error: unknown) => {
        rules = undefined
        throw error
      })
      const creators = await rules
      const found = findPrivateKeys(text)
      for (let from = 0; ; from += PIECE - OVERLAP) {
        const piece = text.slice(from, from + PIECE)
        for (const { start, end, rule } of [...findPatterns(piece), ...(await findByRules(creators, piece))]) {
          found.push({ start: from + start, end: from + end, rule })
        }
        if (from + PIECE >= text.length) return withoutSecrets(text, found)
        await nextTurn()
      }
    },
  }
}

/** The part of a rule's interface that is used here; the types of the package need another one that consumers lack. */
interface RuleCreator {
  readonly meta: { readonly id: string }
  create(context: RuleContext, options: object): { file?(source: RuleSource): unknown }
}

interface RuleContext {
  readonly sharedOptions: object
  createTranslator(messages: object): (id: string) => { readonly message: string; readonly messageId: string }
  report(found: { readonly range: readonly [number, number] }): void
  ignore(): void
}

interface RuleSource {
  readonly content: string
  readonly contentType: 'text'
  readonly filePath: string
  readonly ext: string
  readonly hasBOM: boolean
}

/** Rules for whole files, and the one by which a text switches the others off. */
const LEFT_OUT: ReadonlySet<string> = new Set(['gcp', 'filter-comments'])

async function loadRules(): Promise<readonly RuleCreator[]> {
  const { rules } = await import('@secretlint/secretlint-rule-preset-recommend')
  return (rules as unknown as readonly RuleCreator[]).filter((rule) => !LEFT_OUT.has(nameOf(rule)))
}

function nameOf({ meta }: RuleCreator): string {
  return meta.id.replace('@secretlint/secretlint-rule-', '')
}

async function findByRules(creators: readonly RuleCreator[], content: string): Promise<Found[]> {
  const found: Found[] = []
  const source: RuleSource = { content, contentType: 'text', filePath: 'message.txt', ext: '.txt', hasBOM: false }
  for (const creator of creators) {
    const rule = nameOf(creator)
    const context: RuleContext = {
      sharedOptions: {},
      createTranslator: () => (messageId) => ({ message: messageId, messageId }),
      report: ({ range: [start, end] }) => found.push({ start, end: rule === 'aws' ? endOfWord(content, end) : end, rule }),
      ignore: () => undefined,
    }
    const checking = creator.create(context, {}).file?.(source)
    if (checking instanceof Promise) await checking
  }
  return found
}

/** For a key of AWS the rule tells where its name begins, and ends as much too early. */
function endOfWord(text: string, from: number): number {
  let end = from
  while (end < text.length && /[\w/+=]/.test(text.charAt(end))) end++
  return end
}

function presetVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('@secretlint/secretlint-rule-preset-recommend/package.json')
  const { version } = Object(manifest)
  if (typeof version !== 'string')
    throw new StorageError('REDACTION_FAILED', { reason: 'the rules of secretlint are not installed as they should be' })
  return version
}
