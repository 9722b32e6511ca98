/** Frames of zstd put together by hand, so that tests need no compressor: blocks that are stored, and runs of one byte. */

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
/** No content size, no checksum; a window of 2 MiB. */
const HEADER = [...MAGIC, 0x00, 0x58]

/** To be passed over: four bytes that are of no concern. */
export const SKIPPABLE_FRAME = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])

export type Block = (last: boolean) => Buffer

/** At most 128 KiB of text. */
export function rawBlock(text: string): Block {
  const content = Buffer.from(text)
  return (last) => Buffer.concat([blockHeader(content.length, 0, last), content])
}

/** One byte, up to 131072 times. */
export function runBlock(byte: number, times: number): Block {
  return (last) => Buffer.concat([blockHeader(times, 1, last), Buffer.from([byte])])
}

export function frameOf(blocks: readonly Block[]): Buffer {
  return Buffer.concat([Buffer.from(HEADER), ...blocks.map((block, at) => block(at === blocks.length - 1))])
}

/** A text as frames of stored blocks of so many bytes; two blocks in a frame. */
export function packRaw(text: Buffer, size: number): Buffer {
  const blocks: Block[] = []
  for (let at = 0; at < text.length; at += size) {
    const content = text.subarray(at, at + size)
    blocks.push((last) => Buffer.concat([blockHeader(content.length, 0, last), content]))
  }
  const frames: Buffer[] = []
  for (let at = 0; at < blocks.length; at += 2) frames.push(frameOf(blocks.slice(at, at + 2)))
  return frames.length === 0 ? frameOf([rawBlock('')]) : Buffer.concat(frames)
}

function blockHeader(size: number, kind: number, last: boolean): Buffer {
  const header = Buffer.alloc(3)
  header.writeUIntLE((size << 3) | (kind << 1) | (last ? 1 : 0), 0, 3)
  return header
}
