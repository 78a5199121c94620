/**
 * Answers the requests of the processes of a program. A connection is either a process's own, or a file
 * that the program has open: when the last descriptor of it is closed the connection ends.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { RequestReader, REQUEST, replyBytes, type Reply, type Request } from './protocol.ts';
import type { ExecSession } from './session.ts';

/** Serves one session on a socket. */
export class ExecServer {
  readonly #session: ExecSession;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Inodes of files whose connections have ended. */
  readonly #ended = new Set<bigint>();

  /**
   * @param session what answers
   */
  constructor(session: ExecSession) {
    this.#session = session;
    this.#server = createServer((socket) => this.#connected(socket));
  }

  /**
   * Begins to serve.
   *
   * @param path path of the socket
   * @returns when it listens
   */
  listen(path: string): Promise<void> {
    return new Promise((done, failed) => {
      this.#server.once('error', failed);
      this.#server.listen(path, done);
    });
  }

  /**
   * Ends serving, when what has ended is closed in the model.
   *
   * @returns when it is done
   */
  async close(): Promise<void> {
    await settled();
    this.#closeEnded();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #connected(socket: Socket): void {
    const reader = new RequestReader();
    let file = 0n;
    this.#sockets.add(socket);
    socket.on('data', (bytes) => {
      const requests = reader.take(bytes);
      if (!requests) {
        socket.destroy();
        return;
      }
      for (const request of requests) {
        if (request.kind === REQUEST.open || request.kind === REQUEST.adopt) {
          file = request.args[0] ?? 0n;
        }
        void this.#answer(socket, request);
      }
    });
    // A process that was killed: what it had open ends with it.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (file === 0n) return;
      this.#ended.add(file);
      setImmediate(() => this.#closeEnded());
    });
  }

  async #answer(socket: Socket, request: Request): Promise<void> {
    // What was closed before this request is closed in the model before it too.
    if (request.kind === REQUEST.open || request.kind === REQUEST.closed) {
      await settled();
      this.#closeEnded();
    }
    let reply: Reply;
    try {
      reply = this.#session.answer(request);
    } catch (error) {
      this.#session.failed(error);
      reply = { ret: -EIO };
    }
    if (!socket.destroyed) socket.write(replyBytes(reply));
  }

  #closeEnded(): void {
    if (this.#ended.size === 0) return;
    this.#session.closeFiles(this.#ended);
    this.#ended.clear();
  }
}

const EIO = 5;

/** Two rounds of events: what had happened when a request came has been seen then. */
async function settled(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}
