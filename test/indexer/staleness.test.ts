import { describe, expect, it } from 'vitest'
import type { Redactor } from '../../src/indexer/ports.js'
import { countStale } from '../../src/indexer/staleness.js'
import { secretlintRedactor } from '../../src/indexer/text/redact-secretlint.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { rig } from '../support/index-rig.js'
import { metaOf, type World } from '../support/index-world.js'

/** As much of a set of sessions as is looked at. */
function sessionsOf(world: World): Sessions {
  const revision = async ({ session }: { readonly session: string }) => String(world.sessions.get(session)?.revision)
  return { index: { sessionsByTime: () => [...world.sessions.values()].map(metaOf), revision } } as unknown as Sessions
}

const mine: Redactor = { name: 'mine', redact: async (text) => ({ text, redacted: 0 }) }

describe('what the index lacks', () => {
  it.each<[string, Redactor | undefined, string | undefined]>([
    ['without a redactor', undefined, undefined],
    ['with the redactor of the library', secretlintRedactor(), undefined],
    ['with one that is named', mine, 'mine'],
  ])('is counted %s', async (_, redact, name) => {
    await using r = await rig({ redact })
    const changed = r.world.add('ses_a', ['one'])
    r.world.add('ses_b', ['two'])
    await r.run()
    expect(await countStale(r.state, sessionsOf(r.world), {}, name)).toBe(0)
    expect(await countStale(r.state, sessionsOf(r.world), {}, 'another')).toBe(2)
    r.world.edit(changed, ({ messages }) => messages.pop())
    r.world.add('ses_new', ['three'])
    expect(await countStale(r.state, sessionsOf(r.world), {}, name)).toBe(2)
    expect(await countStale(r.state, sessionsOf(r.world), { sessions: ['ses_new'] }, name)).toBe(1)
  })
})
