/** Several stores, of which not all are looked at every time. */
import { describe, expect, it } from 'vitest'
import { rig } from '../support/index-rig.js'
import { contentOf, keyOf } from '../support/index-world.js'

describe('an index of several stores', () => {
  it('leaves the sessions of stores that were not looked at alone, however often others are', async () => {
    await using it = await rig()
    it.world.add('ses_mine', ['one'])
    await it.run()
    const before = contentOf(it.sink)
    it.world.stores.clear()
    it.world.stores.set('/other', true)
    it.world.add('ses_other', ['two'], { store: '/other' })
    for (let i = 0; i < 3; i++) {
      expect(await it.indexer.observe()).toMatchObject({ sessions: 1, removed: 0, elsewhere: 1, complete: true })
      await it.indexer.drain()
    }
    expect([...contentOf(it.sink).keys()]).toEqual(expect.arrayContaining([...before.keys()]))
    expect(it.sink.rows.size).toBe(2)
  })

  it('deletes what one store lacks while another cannot be listed or opened', async () => {
    await using it = await rig()
    it.world.stores.set('/broken', true)
    it.world.stores.set('/later-closed', true)
    it.world.add('ses_gone', ['one'])
    it.world.add('ses_hidden', ['two'], { store: '/broken' })
    it.world.add('ses_away', ['three'], { store: '/later-closed' })
    await it.run()
    it.world.sessions.delete('ses_gone')
    it.world.sessions.delete('ses_hidden')
    it.world.stores.set('/broken', false)
    it.world.stores.delete('/later-closed')
    expect(await it.indexer.observe()).toMatchObject({ removed: 1, elsewhere: 1, complete: false })
    await it.indexer.drain()
    expect([...it.sink.rows.values()].map(({ text }) => text).sort()).toEqual(['three', 'two'])
  })

  it('keeps a session that moved to another store, and knows where it is from then on', async () => {
    await using it = await rig()
    it.world.stores.set('/other', true)
    const session = it.world.add('ses_a', ['one'])
    await it.run()
    session.store = '/other'
    expect(await it.indexer.observe()).toMatchObject({ changed: 0, removed: 0 })
    expect(it.state.sessions()).toMatchObject([{ key: keyOf('ses_a'), store: '/other' }])
    expect(it.state.status().queue.ready).toBe(0)
    it.world.stores.delete('/other')
    expect(await it.indexer.observe()).toMatchObject({ removed: 0, elsewhere: 1 })
  })

  it('stops finding a deleted session after one observation', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.run()
    it.world.sessions.delete('ses_a')
    expect(await it.indexer.observe()).toMatchObject({ removed: 1 })
    await it.indexer.drain()
    expect(it.sink.rows.size).toBe(0)
    expect(it.state.sessions()).toEqual([])
  })

  it('keeps a session that is there again when asked for', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'])
    await it.run()
    const whole = it.world.source()
    const { indexer } = await it.join(2, {
      sessions: {
        ...whole,
        list: async () => {
          it.world.sessions.delete('ses_a')
          const listing = await whole.list()
          it.world.sessions.set('ses_a', session)
          return listing
        },
      },
    })
    expect(await indexer.observe()).toMatchObject({ sessions: 0, removed: 0 })
  })

  it('removes an excluded session also when its store is not looked at', async () => {
    await using it = await rig()
    it.world.add('ses_a', ['one'])
    await it.run()
    it.world.stores.clear()
    const { indexer } = await it.join(2, { exclude: { sessions: ['ses_a'] } })
    expect(await indexer.observe()).toMatchObject({ excluded: 1, removed: 1, elsewhere: 0 })
    await indexer.drain()
    expect(it.sink.rows.size).toBe(0)
  })
})
