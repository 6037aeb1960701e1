import type { Random } from "../clock/random.ts";
import type { ServiceError } from "../errors/service-error.ts";

/** Share of the calls that go anywhere, so that it is known what calls take elsewhere. */
const ANYWHERE = 0.02;
/** Averages of what calls take go over so many. */
const LONG = 64;
/** Of fewer calls an average tells nothing. */
const FEW = 8;
/** How often the two are compared, milliseconds. */
const LOOK_MS = 500;
/** The zone of the caller has too much to do when calls take so many times as long as elsewhere. */
const SLOWER = 1.5;
/** So much of what stays for no other reason than nearness is given away then, at each look; and so much is taken back in better times. */
const GIVE = 0.25;
const TAKE = 0.02;
/** Until it has had too much to do for the first time. */
const FIRST_TAKE = 0.1;
/** Picks between two reckonings. */
const PICKS = 64;

/** What a zone can do. */
interface Able {
  readonly name: string;
  readonly capacity: number;
}

/** What share of the calls goes to each zone. */
export class ZoneShares {
  readonly #clients: Readonly<Record<string, number>> | undefined;
  readonly #allClients: number;
  #upTo = new Float64Array(0);
  #picks = 0;
  /** Of calls within the zone of the caller, and out of it: what they take on average, and how many there were. */
  #nearMs = 0;
  #near = 0;
  #farMs = 0;
  #far = 0;
  #lookMs = 0;
  /** 0: all stay that may. 1: zones are not heeded, as in the beginning. */
  #given = 1;
  /** Whether the zone of the caller has ever had too much to do. */
  #warned = false;

  constructor(clients: Readonly<Record<string, number>> | undefined) {
    this.#clients = clients;
    this.#allClients = Object.values(clients ?? {}).reduce((sum, count) => sum + count, 0);
  }

  /** To be reckoned anew. */
  reset(): void {
    this.#picks = 0;
  }

  /** The zone of a call. @param zones - that of the caller first. */
  draw(zones: readonly Able[], random: Random): number {
    if (this.#picks-- <= 0) this.#reckon(zones);
    const drawn = random.next();
    const upTo = this.#upTo;
    let i = 0;
    while (i < upTo.length - 1 && drawn >= upTo[i]!) i++;
    return i;
  }

  /** The zone of a call that has been to one already: that of the caller, or if it was that, another by what it can do. */
  drawAnother(zones: readonly Able[], than: string, random: Random): number {
    if (zones[0]!.name !== than) return 0;
    let all = 0;
    for (let i = 1; i < zones.length; i++) all += zones[i]!.capacity;
    let left = random.next() * all;
    for (let i = 1; i < zones.length - 1; i++) {
      left -= zones[i]!.capacity;
      if (left < 0) return i;
    }
    return zones.length - 1;
  }

  #reckon(zones: readonly Able[]): void {
    this.#picks = PICKS;
    const all = zones.reduce((sum, { capacity }) => sum + capacity, 0);
    const own = zones.map(({ capacity }) => (all > 0 ? capacity / all : 1 / zones.length));
    const clients = zones.map(({ name }) =>
      this.#clients === undefined ? 1 / zones.length : (this.#clients[name] ?? 0) / this.#allClients,
    );
    const stays = Math.min(1, own[0]! / clients[0]!);
    // What others can do beyond the calls of their own zones.
    const room = own.map((share, i) => (i === 0 ? 0 : Math.max(0, share - clients[i]!)));
    const rooms = room.reduce((sum, share) => sum + share, 0);
    const anywhere = ANYWHERE + (1 - ANYWHERE) * this.#given;
    let sum = 0;
    this.#upTo = Float64Array.from(own, (share, i) => {
      const aware = i === 0 ? stays : rooms > 0 ? ((1 - stays) * room[i]!) / rooms : 0;
      sum += aware * (1 - anywhere) + share * anywhere;
      return sum;
    });
  }

  /** A call has ended. */
  done(near: boolean, latencyMs: number, error: ServiceError | undefined, nowMs: number): void {
    if (error?.code === "canceled") return;
    if (near) this.#nearMs += (latencyMs - this.#nearMs) / Math.min(LONG, ++this.#near);
    else this.#farMs += (latencyMs - this.#farMs) / Math.min(LONG, ++this.#far);
    if (nowMs - this.#lookMs < LOOK_MS) return;
    this.#lookMs = nowMs;
    if (this.#near < FEW || this.#far < FEW) return;
    if (this.#nearMs > SLOWER * this.#farMs) {
      this.#given += (1 - this.#given) * GIVE;
      this.#warned = true;
    } else {
      this.#given = Math.max(0, this.#given - (this.#warned ? TAKE : FIRST_TAKE));
    }
    this.#picks = 0;
  }
}
