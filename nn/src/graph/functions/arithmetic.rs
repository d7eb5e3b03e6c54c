//! Exact factors, powers, exponentials, logarithms, quotients, roundings.

use crate::{Edge, Error, Function, Graph, Result, fixed};

/// Integer exponents up to this are computed by squaring.
const MOST_SQUARED: f64 = 64.0;

impl Graph {
    /// -x.
    pub fn neg(&mut self, x: Edge) -> Result<Edge> {
        self.linear(&[(-1, x)], 0.0)
    }

    /// |x|.
    pub fn abs(&mut self, x: Edge) -> Result<Edge> {
        let positive = self.relu(x)?;
        self.linear(&[(2, positive), (-1, x)], 0.0)
    }

    /// -1, 0 or 1.
    pub fn sign(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Sign, &[x])
    }

    /// c·x for a real constant to the full working precision: a factor of [`Graph::scale`] has only 12 bits, so the
    /// remainder is added. Integers cost nothing, other factors up to two roundings.
    ///
    /// # Errors
    /// [`Error::Range`] where c is not finite or |c| >= 2^40.
    pub fn scale_exact(&mut self, x: Edge, c: f64) -> Result<Edge> {
        if c.is_nan() || c.abs() >= 2f64.powi(40) {
            return Err(Error::Range {
                what: "scale_exact".into(),
                value: c,
                range: "|c| < 2^40".into(),
            });
        }
        if c == 1.0 {
            return Ok(x);
        }
        let whole = c.trunc();
        if whole == c {
            return self.linear(&[(whole as i64, x)], 0.0);
        }
        if c.abs() >= 2048.0 {
            let part = self.scale_exact(x, c - whole)?;
            return self.linear(&[(whole as i64, x), (1, part)], 0.0);
        }
        if c.abs() < 2f64.powi(-20) {
            // Below 2^-62 nothing is left of any number.
            let up = c * 2f64.powi(20);
            if c.abs() < 2f64.powi(-62) {
                return self.linear(&[(0, x)], 0.0);
            }
            let part = self.scale_exact(x, up)?;
            return self.scale(part, 2f64.powi(-20));
        }
        let (factor, g) = fixed::scale_factor(c)?;
        let coarse = factor as f64 * 2f64.powi(-(g as i32));
        let most = self.scale(x, coarse)?;
        // Whatever is below 2^-26 of the result is lost in its last place.
        let missing = c / coarse - 1.0;
        if missing.abs() < 2f64.powi(-26) {
            return Ok(most);
        }
        let rest = self.scale(most, missing)?;
        self.add(most, rest)
    }

    /// x/n, accurate to two units of the last place.
    pub fn divide(&mut self, x: Edge, n: usize) -> Result<Edge> {
        self.scale_exact(x, 1.0 / n.max(1) as f64)
    }

    /// e^x for every x; it saturates at e^(12 - 2^-6) = 160 229.
    pub fn exp(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Exp, &[x])
    }

    /// e^x for x < 1, with an absolute error of a unit or two; 0 far below.
    pub fn exp_negative(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::ExpNegative, &[x])
    }

    /// e^x for x in [-16, 12), wrong without notice outside: the cheapest exponential.
    pub fn exp_within(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::ExpWithin, &[x])
    }

    /// ln x; below 2^-17 it stays at ln 2^-17 = -11.8, above 2^22 at 15.2.
    pub fn log(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Log, &[x])
    }

    /// √x; 0 for x <= 0, and above 2^22 it stays at 2^11.
    pub fn sqrt(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Sqrt, &[x])
    }

    /// 1/√x; for x below one unit, 2^-18, it stays at 2^9, above 2^22 at 2^-11.
    pub fn rsqrt_of(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::InverseRoot, &[x])
    }

    /// 1/x for x of either sign; for |x| < 2^-14 it stays at ±2^14, and 1/0 is 2^14.
    pub fn reciprocal_of(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Reciprocal, &[x])
    }

    /// x/y for y of either sign, to three units and a relative 2^-11. |y| is taken to be 2^-14 at least and 2^17 at most; |x/y| < 2^15 where |y| >= 64, else
    /// |x/y| < 2^26.
    pub fn div(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        self.map(Function::Divide, &[x, y])
    }

    /// x^p. Integers up to 64 by squaring, halves by roots; every other exponent wants x > 0 and is exact as e^(p·ln x) is.
    ///
    /// # Errors
    /// [`Error::Range`] where p is not finite.
    pub fn pow(&mut self, x: Edge, p: f64) -> Result<Edge> {
        if p == 0.0 {
            let shape = self.shape(x)?.to_vec();
            return Ok(self.fill(&shape, 1.0));
        }
        if p.fract() == 0.0 && p.abs() <= MOST_SQUARED {
            let y = self.power(x, p.abs() as u32)?;
            return if p < 0.0 {
                self.reciprocal_of(y)
            } else {
                Ok(y)
            };
        }
        if p == 0.5 {
            return self.sqrt(x);
        }
        if p == -0.5 {
            return self.rsqrt_of(x);
        }
        let ln = self.log(x)?;
        let ln = self.scale_exact(ln, p)?;
        self.exp(ln)
    }

    /// x^y for x > 0, as e^(y·ln x).
    pub fn pow_edge(&mut self, x: Edge, y: Edge) -> Result<Edge> {
        let ln = self.log(x)?;
        let product = self.mul(ln, y)?;
        self.exp(product)
    }

    /// The greatest integer that is not above x.
    pub fn floor(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Floor, &[x])
    }

    /// The least integer that is not below x.
    pub fn ceil(&mut self, x: Edge) -> Result<Edge> {
        let minus = self.neg(x)?;
        let floor = self.floor(minus)?;
        self.neg(floor)
    }

    /// The nearest integer; of two, the even one.
    pub fn round(&mut self, x: Edge) -> Result<Edge> {
        self.map(Function::Round, &[x])
    }

    /// x^n by squaring, n >= 1.
    fn power(&mut self, x: Edge, n: u32) -> Result<Edge> {
        let (mut square, mut n, mut result) = (x, n, None);
        loop {
            if n & 1 == 1 {
                result = Some(match result {
                    None => square,
                    Some(y) => self.mul(y, square)?,
                });
            }
            n >>= 1;
            match result {
                Some(y) if n == 0 => return Ok(y),
                _ => square = self.mul(square, square)?,
            }
        }
    }
}
