/** A place on the globe, in degrees: east and north are positive. */
export interface Coordinates {
  readonly longitude: number;
  readonly latitude: number;
}

const earthRadiusKm = 6371.0088;
const kmPerNauticalMile = 1.852;
const radians = Math.PI / 180;

/** Great-circle distance by the haversine formula, in kilometres. */
export function distanceKm(a: Coordinates, b: Coordinates): number {
  const sinLatitude = Math.sin(((b.latitude - a.latitude) * radians) / 2);
  const sinLongitude = Math.sin(((b.longitude - a.longitude) * radians) / 2);
  const h =
    sinLatitude * sinLatitude +
    Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians) * sinLongitude * sinLongitude;
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Great-circle distance in nautical miles: a ship making one knot needs one hour for each. */
export function nauticalMiles(a: Coordinates, b: Coordinates): number {
  return distanceKm(a, b) / kmPerNauticalMile;
}

/** Initial great-circle bearing from `a` to `b`, in degrees clockwise from north, [0, 360). */
export function bearing(a: Coordinates, b: Coordinates): number {
  const longitude = (b.longitude - a.longitude) * radians;
  const y = Math.sin(longitude) * Math.cos(b.latitude * radians);
  const x =
    Math.cos(a.latitude * radians) * Math.sin(b.latitude * radians) -
    Math.sin(a.latitude * radians) * Math.cos(b.latitude * radians) * Math.cos(longitude);
  return (Math.atan2(y, x) / radians + 360) % 360;
}
