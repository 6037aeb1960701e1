import type { Coordinates } from "../../ports/distance.ts";

/** A place every ship between two seas goes through. Great circles between neighbouring passages stay on water. */
export interface Passage extends Coordinates {
  /** Waiting and transit, hours: canals take their time. */
  readonly delayHours: number;
}

const open = (longitude: number, latitude: number): Passage => ({ longitude, latitude, delayHours: 0 });

/** The passages by the names used in the rotations. */
export const passages: Readonly<Record<string, Passage>> = {
  "@luzon": open(121.2, 20.4),
  "@tsugaru": open(140.4, 41.4),
  "@malacca": open(95.2, 6.1),
  "@sunda": open(105.6, -6.1),
  "@torres": open(142.3, -10.5),
  "@dondra": open(80.6, 5.7),
  "@comorin": open(77.3, 7.5),
  "@hormuz": open(56.7, 26.3),
  "@guardafui": open(51.6, 12.4),
  "@bab-el-mandeb": open(43.4, 12.5),
  "@suez": { longitude: 32.5, latitude: 30.4, delayHours: 16 },
  "@sicily": open(11.3, 37.4),
  "@bosphorus": { longitude: 29.1, latitude: 41.1, delayHours: 3 },
  "@gibraltar": open(-5.7, 35.9),
  "@finisterre": open(-9.8, 43.3),
  "@ushant": open(-5.8, 48.8),
  "@skagen": open(10.8, 57.9),
  "@dakar": open(-17.9, 14.7),
  "@good-hope": open(18.2, -35.0),
  "@cape-race": open(-52.9, 46.2),
  "@florida": open(-79.9, 24.6),
  "@windward": open(-74.2, 20.1),
  "@mona": open(-67.8, 18.4),
  "@panama": { longitude: -79.7, latitude: 9.1, delayHours: 12 },
  "@recife": open(-34.4, -7.5),
  "@unimak": open(-165.0, 54.2),
};
