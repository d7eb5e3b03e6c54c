//! What is trained: layers of periodic neurons over windows of what lies before them.

use ndarray::{Array2, ArrayD, IxDyn};
use tacit_nn::{network::Parameter, random::Stream};

use super::{Recipe, TrainError, invalid};

/// Which values each position of a layer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many values a position sees.
    pub taps: usize,
    /// Which: those of the first position, then those of the second.
    pub index: Vec<usize>,
}

/// A hidden layer: at each position as many neurons as there are channels, with the same weights everywhere. Value
/// position · channels + channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waves {
    /// What is seen from where.
    pub windows: Windows,
    /// Neurons of a position.
    pub channels: usize,
    /// M: even, at least 4.
    pub modulus: u32,
}

/// A network of periodic neurons, and as many sums of tables of the last hidden layer as there are classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periodic {
    /// Features.
    pub len: usize,
    /// At least one hidden layer.
    pub hidden: Vec<Waves>,
    /// At least two.
    pub classes: usize,
}

/// A network with its weights, rounded where the program has integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    pub(super) network: Periodic,
    pub(super) recipe: Recipe,
    pub(super) weights: Vec<Array2<f32>>,
}

impl Windows {
    /// One position that sees all of `len` values.
    #[must_use]
    pub fn whole(len: usize) -> Self {
        Self {
            taps: len,
            index: (0..len).collect(),
        }
    }

    /// Squares of `kernel` by `kernel` pixels, every `stride` pixels, of an image \[height, width, channels\]; positions
    /// in its order. An image smaller than the kernel has none.
    #[must_use]
    pub fn image([height, width, channels]: [usize; 3], kernel: usize, stride: usize) -> Self {
        let starts =
            |length: usize| (0..(length + 1).saturating_sub(kernel)).step_by(stride.max(1));
        let pixel = |y: usize, x: usize| (0..channels).map(move |c| (y * width + x) * channels + c);
        let square = |(y, x): (usize, usize)| {
            (0..kernel).flat_map(move |i| (0..kernel).flat_map(move |j| pixel(y + i, x + j)))
        };
        let corners = starts(height).flat_map(|y| starts(width).map(move |x| (y, x)));
        Self {
            taps: kernel * kernel * channels,
            index: corners.flat_map(square).collect(),
        }
    }

    /// How many positions there are.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.index.len() / self.taps.max(1)
    }

    /// Whether there is one position that sees all of `len` values in their order.
    pub(super) fn is_whole(&self, len: usize) -> bool {
        self.index.len() == len && self.index.iter().enumerate().all(|(k, &i)| k == i)
    }
}

impl Waves {
    /// How many values it has: its bootstraps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.positions() * self.channels
    }

    /// Whether it has none, with which nothing is trained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries of a table: half a period.
    pub(super) const fn half(&self) -> usize {
        self.modulus as usize / 2
    }

    /// 2π/M.
    pub(super) fn step(&self) -> f32 {
        std::f32::consts::TAU / self.modulus as f32
    }
}

impl Periodic {
    /// One hidden layer that sees everything.
    #[must_use]
    pub fn dense(len: usize, neurons: usize, modulus: u32, classes: usize) -> Self {
        let hidden = Waves {
            windows: Windows::whole(len),
            channels: neurons,
            modulus,
        };
        Self {
            len,
            hidden: vec![hidden],
            classes,
        }
    }

    /// How many bootstraps it takes.
    #[must_use]
    pub fn lookups(&self) -> usize {
        self.hidden.iter().map(Waves::len).sum()
    }

    /// The layers of tables: what each position sees of the hidden layer before it, and how many sums it has. The last
    /// one has the results.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&Waves, Windows, usize)> {
        let next = self.hidden[1..].iter();
        let next = next.map(|waves| Some((waves.windows.clone(), waves.channels)));
        let pairs = self.hidden.iter().zip(next.chain([None]));
        pairs.map(|(waves, next)| {
            let (windows, sums) =
                next.unwrap_or_else(|| (Windows::whole(waves.len()), self.classes));
            (waves, windows, sums)
        })
    }

    pub(super) fn validate(&self, recipe: &Recipe) -> Result<(), TrainError> {
        let mut len = self.len;
        for waves in &self.hidden {
            if waves.is_empty() || waves.windows.index.iter().any(|&i| i >= len) {
                return Err(invalid(format!(
                    "a hidden layer needs neurons, and windows of the {len} values before it"
                )));
            }
            if waves.modulus < 4 || waves.modulus % 2 == 1 {
                return Err(invalid("a modulus is even and at least 4"));
            }
            len = waves.len();
        }
        if self.hidden.is_empty() || self.classes < 2 {
            return Err(invalid("a network needs a hidden layer and two classes"));
        }
        if recipe.layers.len() != self.hidden.len() {
            return Err(invalid(format!(
                "the recipe tells how {} hidden layers start, the network has {}",
                recipe.layers.len(),
                self.hidden.len()
            )));
        }
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if !positive(recipe.resolution)
            || recipe.limit < 1
            || !recipe.layers.iter().all(|layer| positive(layer.pace))
        {
            return Err(invalid("resolution, limit and pace are more than 0"));
        }
        Ok(())
    }

    /// What is learnt, each in units of its pace: weights and biases of the first layer; cosines, sines and biases of
    /// every layer of tables.
    pub(super) fn start(&self, recipe: &Recipe, seed: &[u8; 32]) -> Vec<Parameter> {
        let mut random = Stream::new(seed, "first weights");
        // Uniform with this standard deviation.
        let mut draw = |rows: usize, columns: usize, spread: f32| {
            let spread = 3f64.sqrt() * f64::from(spread);
            ArrayD::from_shape_simple_fn(IxDyn(&[rows, columns]), || spread * random.symmetric())
        };
        let first = &self.hidden[0];
        let (spread, pace) = (recipe.layers[0].spread, recipe.layers[0].pace);
        let phase = |waves: &Waves| waves.modulus as f32 / 12f32.sqrt();
        let mut values = vec![
            draw(first.windows.taps, first.channels, spread / pace),
            draw(1, first.channels, phase(first) / pace),
        ];
        for (k, (_, windows, sums)) in self.tables().enumerate() {
            let (spread, bias) = match (self.hidden.get(k + 1), recipe.layers.get(k + 1)) {
                (Some(waves), Some(layer)) => {
                    (layer.spread / layer.pace, phase(waves) / layer.pace)
                }
                _ => (1.0 / (windows.taps as f32).sqrt(), 0.0),
            };
            values.push(draw(windows.taps, sums, spread));
            values.push(draw(windows.taps, sums, spread));
            values.push(draw(1, sums, bias));
        }
        let name = |(k, value)| Parameter {
            name: format!("tensor {k}"),
            value,
        };
        values.into_iter().enumerate().map(name).collect()
    }

    /// The pace of each tensor of [`Self::start`], and whether it is rounded; those of the last layer are rounded at its
    /// resolution.
    pub(super) fn paces(&self, recipe: &Recipe) -> Vec<(f32, Option<f32>)> {
        let first = recipe.layers[0].pace;
        let mut paces = vec![(first, Some(1.0)), (first, Some(1.0))];
        for k in 1..=self.hidden.len() {
            let (pace, resolution) = recipe
                .layers
                .get(k)
                .map_or((1.0, recipe.resolution), |layer| (layer.pace, 1.0));
            // The amplitudes themselves are not rounded, their tables are.
            paces.extend([(pace, None), (pace, None), (pace, Some(resolution))]);
        }
        paces
    }
}
