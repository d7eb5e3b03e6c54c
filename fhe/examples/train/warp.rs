//! Pictures moved, turned, stretched and sheared a little, at random: what they show stays what it is.

use tacit_examples::mnist::PIXELS;
use tacit_nn::random::Stream;

/// The side of a picture.
const SIDE: usize = 28;

/// How far a picture is bent, at most, either way; every amount between is as likely.
#[derive(Clone, Copy)]
pub(crate) struct Warp {
    /// Pixels, in each direction.
    pub(crate) shift: f64,
    /// Radians.
    pub(crate) turn: f64,
    /// The logarithm of a factor, for height and width.
    pub(crate) stretch: f64,
    /// Pixels a line.
    pub(crate) shear: f64,
}

impl Warp {
    /// Pixels from 0 to 255 of one picture after the other, each bent in a way of its own.
    pub(crate) fn all(self, pixels: &[u8], random: &mut Stream) -> Vec<f32> {
        let pictures = pixels.chunks_exact(PIXELS);
        pictures
            .flat_map(|picture| self.one(picture, random))
            .collect()
    }

    /// Every pixel is what lies at the point that an affine map about the centre takes it to, between four pixels.
    fn one(self, picture: &[u8], random: &mut Stream) -> Vec<f32> {
        let mut any = |most: f64| (most * random.symmetric()) as f32;
        let (right, down) = (any(self.shift), any(self.shift));
        let (sin, cos) = any(self.turn).sin_cos();
        let (wide, high) = (any(self.stretch).exp(), any(self.stretch).exp());
        let shear = any(self.shear);
        let map = [
            [cos * wide, (shear * cos - sin) * high],
            [sin * wide, (shear * sin + cos) * high],
        ];
        let centre = (SIDE - 1) as f32 / 2.0;
        let at = |y: isize, x: isize| {
            let inside = |v: isize| usize::try_from(v).ok().filter(|&v| v < SIDE);
            let place = inside(y).zip(inside(x)).map(|(y, x)| y * SIDE + x);
            place.map_or(0.0, |place| f32::from(picture[place]))
        };
        let pixel = |k: usize| {
            let (u, v) = ((k % SIDE) as f32 - centre, (k / SIDE) as f32 - centre);
            let x = map[0][0] * u + map[0][1] * v + centre + right;
            let y = map[1][0] * u + map[1][1] * v + centre + down;
            let (left, top) = (x.floor(), y.floor());
            let (p, q) = (x - left, y - top);
            let (i, j) = (top as isize, left as isize);
            let line = |i| (1.0 - p) * at(i, j) + p * at(i, j + 1);
            (1.0 - q) * line(i) + q * line(i + 1)
        };
        (0..PIXELS).map(pixel).collect()
    }
}
