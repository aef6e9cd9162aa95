declare module "isosurface" {
  type Point = [number, number, number];
  export function surfaceNets(
    dims: Point,
    potential: (x: number, y: number, z: number) => number,
    bounds?: [Point, Point],
  ): { positions: Point[]; cells: number[][] };
}
declare module "*.css";
