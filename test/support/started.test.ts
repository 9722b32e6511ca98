import { describe, expect, it } from 'vitest'
import { started } from './started.js'

const refused = (code: string): Error => Object.assign(new Error(`spawnSync ${code}`), { code })

describe('started', () => {
  it('starts a child again when memory was wanting', () => {
    const answers = [refused('ENOMEM'), 'done']
    const start = (): string => {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return String(answer)
    }
    expect(started(start)).toBe('done')
  })

  it.each(['ENOENT', 'EACCES'])('says %s at once', (code) => {
    let starts = 0
    const start = (): never => {
      starts++
      throw refused(code)
    }
    expect(() => started(start)).toThrow(code)
    expect(starts).toBe(1)
  })
})
