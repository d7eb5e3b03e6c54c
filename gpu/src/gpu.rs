//! Bilinear maps on a device.

use bytemuck::{Pod, Zeroable};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::row_major;
use tacit_mpc::{Bilinear, Error, Kernels, R64, Result, Tensor};

use crate::device::{Arguments, Device, DeviceError, Kernel};
use crate::method::Method;
use crate::view::{Place, Product, View};

/// What a party may decide about its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that packed operands may take at a time; larger products are computed in parts.
    pub packed_bytes: usize,
    /// The method for all products, instead of the best for each: for tests and measurements.
    pub method: Option<Method>,
}

impl Default for Settings {
    /// A gibibyte, and the best method for each.
    fn default() -> Self {
        Self {
            packed_bytes: 1 << 30,
            method: None,
        }
    }
}

/// The kernels of an engine, on a device.
pub struct Gpu<D: Device> {
    device: D,
    settings: Settings,
    name: &'static str,
}

/// Terms of one launch of whole words: `Terms` of `kernels/words.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Terms {
    a: [u64; 4],
    b: [u64; 4],
    count: u32,
    unused: u32,
}

/// `Part` of `kernels/limbs.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Part {
    row: u32,
    rows: u32,
    k: u32,
    count: u32,
    at: u32,
    length: u32,
}

/// `Tile` of `kernels/limbs.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Tile {
    row: u32,
    rows: u32,
    column: u32,
    columns: u32,
    length: u32,
    accumulate: u32,
}

/// Entries of k that one step of the tensor cores takes: packed rows are multiples of it.
const STEP: usize = 32;
/// Rows and columns of a tile.
const TILE: usize = 64;
/// Terms of one launch by whole words.
const MOST_TERMS: usize = 4;
/// Batches of one launch: the third axis of a grid.
const MOST_BATCHES: usize = 65_535;

type Done = std::result::Result<(), Failed>;

impl<D: Device> Gpu<D> {
    /// On a device, under settings.
    pub fn new(device: D, settings: Settings) -> Self {
        Self {
            device,
            settings,
            name: "cuda",
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    fn compute(
        &self,
        f: Bilinear,
        terms: &[(&Tensor, &Tensor)],
        shape: &[usize],
    ) -> std::result::Result<Vec<u64>, Failed> {
        let upload = |x: &Tensor| -> std::result::Result<D::Memory, DeviceError> {
            let words = row_major(x);
            let words: &[u64] = bytemuck::cast_slice(&words);
            let mut memory = self.device.allocate(8 * words.len())?;
            self.device.write(&mut memory, words)?;
            Ok(memory)
        };
        let operands = terms
            .iter()
            .map(|(x, y)| Ok((upload(x)?, upload(y)?)))
            .collect::<std::result::Result<Vec<_>, DeviceError>>()?;
        let mut words = vec![0_u64; shape.iter().product()];
        let result = self.device.allocate(8 * words.len())?;
        let addresses: Vec<(u64, u64)> = operands
            .iter()
            .map(|(x, y)| (self.device.address(x), self.device.address(y)))
            .collect();
        let to = self.device.address(&result);
        if f == Bilinear::Mul {
            self.elementwise(&addresses, to, words.len())?;
        } else {
            let (x, y) = (terms[0].0.shape(), terms[0].1.shape());
            let product = Product::of(f, x, y).ok_or(Failed::TooLarge)?;
            for first in (0..product.batches).step_by(MOST_BATCHES) {
                let (a, b, c) = product.batch_at(first);
                let sided = addresses.iter().map(|&(x, y)| {
                    let (left, right) = if product.swapped { (y, x) } else { (x, y) };
                    (left + a, right + b)
                });
                let some = Product {
                    batches: MOST_BATCHES.min(product.batches - first),
                    ..product
                };
                self.matrices(&some, &sided.collect::<Vec<_>>(), to + c)?;
            }
        }
        self.device.read(&result, &mut words)?;
        Ok(words)
    }

    fn matrices(&self, product: &Product, sides: &[(u64, u64)], to: u64) -> Done {
        let shape = (product.rows, product.columns, product.depth);
        let best = || Method::for_shape(shape.0, shape.1, shape.2);
        match self.settings.method.unwrap_or_else(best) {
            Method::Words => self.by_words(product, sides, to),
            Method::Limbs => self.by_limbs(product, sides, to),
        }
    }

    /// Terms of one launch, and whether it adds to what the launches before it left.
    fn launches(addresses: &[(u64, u64)]) -> impl Iterator<Item = (Terms, u32)> {
        addresses.chunks(MOST_TERMS).enumerate().map(|(at, some)| {
            let mut terms = Terms::zeroed();
            for (k, &(a, b)) in some.iter().enumerate() {
                (terms.a[k], terms.b[k]) = (a, b);
            }
            terms.count = some.len() as u32;
            (terms, u32::from(at > 0))
        })
    }

    fn elementwise(
        &self,
        addresses: &[(u64, u64)],
        to: u64,
        count: usize,
    ) -> Done {
        let kernel = Kernel::WordsElementwise;
        let blocks = blocks(count, kernel.threads() as usize)?;
        for (terms, accumulate) in Self::launches(addresses) {
            let arguments = Arguments::default().with(terms).with(to);
            let arguments = arguments.with(count as u64).with(accumulate);
            // SAFETY: the kernel's arguments; every operand and the result have `count` words.
            unsafe { self.device.launch(kernel, [blocks, 1, 1], arguments)? };
        }
        Ok(())
    }

    fn by_words(
        &self,
        product: &Product,
        addresses: &[(u64, u64)],
        to: u64,
    ) -> Done {
        let grid = [
            blocks(product.columns, TILE)?,
            blocks(product.rows, TILE)?,
            product.batches as u32,
        ];
        for (terms, accumulate) in Self::launches(addresses) {
            let arguments = Arguments::default()
                .with(terms)
                .with(product.left)
                .with(product.right)
                .with(to)
                .with(product.place)
                .with(product.rows as u32)
                .with(product.columns as u32)
                .with(product.depth as u32)
                .with(accumulate);
            // SAFETY: the kernel's arguments; views lead to words of the operands alone, places to those of the result,
            // for `Product::of` made them for these shapes.
            unsafe { self.device.launch(Kernel::WordsProduct, grid, arguments)? };
        }
        Ok(())
    }

    /// Terms lie one behind the other along k; what does not fit into the memory for packed operands is computed in parts
    /// of rows, columns and k.
    fn by_limbs(
        &self,
        product: &Product,
        addresses: &[(u64, u64)],
        to: u64,
    ) -> Done {
        let parts = Parts::of(product, addresses.len(), self.settings.packed_bytes)?;
        let planes = |rows: usize| {
            let length = addresses.len() * parts.depth.next_multiple_of(STEP);
            self.device.allocate(product.batches * rows * length * 8)
        };
        let (left, right) = (planes(parts.rows)?, planes(parts.columns)?);
        let (left_at, right_at) = (self.device.address(&left), self.device.address(&right));
        for k in (0..product.depth).step_by(parts.depth) {
            let count = parts.depth.min(product.depth - k);
            let padded = count.next_multiple_of(STEP);
            let length = addresses.len() * padded;
            for row in (0..product.rows).step_by(parts.rows) {
                let rows = parts.rows.min(product.rows - row);
                for (term, &(a, _)) in addresses.iter().enumerate() {
                    let part = Part::new((row, rows), (k, count), (term * padded, length));
                    self.pack(&product.left, a, left_at, part, product.batches)?;
                }
                for column in (0..product.columns).step_by(parts.columns) {
                    let columns = parts.columns.min(product.columns - column);
                    for (term, &(_, b)) in addresses.iter().enumerate() {
                        let part = Part::new((column, columns), (k, count), (term * padded, length));
                        self.pack(&product.right, b, right_at, part, product.batches)?;
                    }
                    let tile = Tile {
                        row: row as u32,
                        rows: rows as u32,
                        column: column as u32,
                        columns: columns as u32,
                        length: length as u32,
                        accumulate: u32::from(k > 0),
                    };
                    let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
                    let grid = [blocks(tiles, 1)?, 1, product.batches as u32];
                    let place: Place = product.place;
                    let arguments = Arguments::default().with(left_at).with(right_at).with(to);
                    let arguments = arguments.with(place).with(tile);
                    // SAFETY: the kernel's arguments; planes hold `rows` and `columns` rows of `length` entries a batch.
                    unsafe { self.device.launch(Kernel::LimbsProduct, grid, arguments)? };
                }
            }
        }
        Ok(())
    }

    fn pack(
        &self,
        view: &View,
        from: u64,
        to: u64,
        part: Part,
        batches: usize,
    ) -> Done {
        let grid = [
            blocks(part.rows as usize, 32)?,
            blocks(part.count as usize, STEP)?,
            batches as u32,
        ];
        let arguments = Arguments::default().with(*view).with(from).with(to).with(part);
        // SAFETY: the kernel's arguments; the view leads to words of its operand, the planes have room for the part.
        unsafe { self.device.launch(Kernel::LimbsPack, grid, arguments)? };
        Ok(())
    }
}

impl Part {
    fn new(
        (row, rows): (usize, usize),
        (k, count): (usize, usize),
        (at, length): (usize, usize),
    ) -> Self {
        Self {
            row: row as u32,
            rows: rows as u32,
            k: k as u32,
            count: count as u32,
            at: at as u32,
            length: length as u32,
        }
    }
}

/// How much of a product is packed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    rows: usize,
    columns: usize,
    depth: usize,
}

impl Parts {
    /// Halves the longer side, then k, until the planes of both operands fit.
    fn of(product: &Product, terms: usize, most: usize) -> std::result::Result<Self, Failed> {
        let mut parts = Self {
            rows: product.rows.max(1),
            columns: product.columns.max(1),
            depth: product.depth.max(1),
        };
        let bytes = |p: &Self| {
            let length = terms as u128 * p.depth.next_multiple_of(STEP) as u128;
            (p.rows + p.columns) as u128 * length * 8 * product.batches as u128
        };
        // The second axis of a grid of packing.
        parts.depth = parts.depth.min(STEP * MOST_BATCHES);
        while bytes(&parts) > most as u128 {
            let side = parts.rows.max(parts.columns);
            if parts.depth > 512 && parts.depth >= side / 4 || side <= TILE && parts.depth > STEP {
                parts.depth = parts.depth.div_ceil(2).next_multiple_of(STEP);
            } else if side > TILE {
                let longer = if parts.rows >= parts.columns { &mut parts.rows } else { &mut parts.columns };
                *longer = longer.div_ceil(2).next_multiple_of(TILE);
            } else {
                return Err(Failed::Setting);
            }
        }
        Ok(parts)
    }
}

/// As many blocks as `count` things take, `each` at a time.
fn blocks(count: usize, each: usize) -> std::result::Result<u32, Failed> {
    u32::try_from(count.div_ceil(each)).map_err(|_| Failed::TooLarge)
}

/// Why a product was not computed.
enum Failed {
    Device(DeviceError),
    /// An index has more than 31 bits.
    TooLarge,
    /// Not even one tile fits into the memory that the settings allow.
    Setting,
}

impl From<DeviceError> for Failed {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl<D: Device> Kernels for Gpu<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bilinear(&self, f: Bilinear, terms: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
        let Some(shape) = f.sum_shape(terms)? else {
            return Ok(ArrayD::from_elem(IxDyn(&[]), R64::default()));
        };
        let empty = terms.iter().any(|(x, y)| x.is_empty() || y.is_empty());
        if empty || shape.contains(&0) {
            return Ok(ArrayD::from_elem(IxDyn(&shape), R64::default()));
        }
        let words = self.compute(f, terms, &shape);
        let words = words.map_err(|failed| Error::Device {
            device: self.device.name().to_owned(),
            why: match failed {
                Failed::Device(error) => error.to_string(),
                Failed::TooLarge => "a tensor has more than 2^31 entries along an index: split it".to_owned(),
                Failed::Setting => "the setting for packed operands is too small for one tile: raise it".to_owned(),
            },
        })?;
        let words = bytemuck::allocation::cast_vec(words);
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), words).unwrap_or_else(|_| unreachable!("as many words as its shape")))
    }
}
