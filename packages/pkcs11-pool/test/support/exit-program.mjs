// A program that ends while its clients are in the middle of something. Run by process-exit.test.ts on the built library; as a
// worker thread it is one of its own workers.
//
//   node exit-program.mjs SCENARIO CLIENT-OPTIONS ROUNDS
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { createClient } from '../../dist/index.js'

const STATUS = 7
const data = Buffer.alloc(16)
const encrypt = (client) => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, data)

/** Encrypts without end, several at once. */
function keepBusy(client) {
  const again = async () => {
    for (;;) await encrypt(client)
  }
  for (let caller = 0; caller < 8; caller += 1) void again()
}

/** Tells the test, and waits for it to say when to go on. */
async function ask(message) {
  process.send(message)
  await once(process, 'message')
}

function startWorker() {
  return new Worker(fileURLToPath(import.meta.url), { workerData: JSON.parse(process.argv[3]) })
}

async function startWorkers(count) {
  const workers = Array.from({ length: count }, startWorker)
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  return workers
}

const scenarios = {
  async 'exits while calls hang'(client) {
    for (let call = 0; call < 4; call += 1) encrypt(client)
    await ask('calls are made')
    process.exit(STATUS)
  },
  async 'exits while it is busy'(client) {
    keepBusy(client)
    await encrypt(client)
    process.exit(STATUS)
  },
  async 'throws while it is busy'(client) {
    keepBusy(client)
    await encrypt(client)
    setImmediate(() => {
      throw new Error('the end')
    })
  },
  async 'ends without closing'(client) {
    await encrypt(client)
    process.exitCode = STATUS
    process.disconnect()
  },
  async 'ends right after closing'(client) {
    await encrypt(client)
    await client.close()
    process.exitCode = STATUS
    process.disconnect()
  },
  async 'exits while it closes'(client) {
    await encrypt(client)
    client.close()
    process.exit(STATUS)
  },
  async 'terminates its workers'(client, rounds) {
    for (let round = 0; round < Number(rounds); round += 1) {
      const workers = await startWorkers(2)
      await encrypt(client)
      await Promise.all(workers.map((worker) => worker.terminate()))
      await encrypt(client)
    }
    await client.close()
    await ask('all is closed')
    process.exitCode = STATUS
    process.disconnect()
  },
}

if (isMainThread) {
  const [, , scenario, options, rounds] = process.argv
  await scenarios[scenario](await createClient(JSON.parse(options)), rounds)
} else {
  keepBusy(await createClient(workerData))
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a message port, not a window
  parentPort.postMessage('busy')
}
