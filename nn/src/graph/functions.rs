//! Functions as words of the graph. Each holds for every input that fixed point represents, unless its documentation names a
//! limit; where it saturates, it says at what.

mod activations;
mod arithmetic;
mod axes;
mod choices;
mod softmax;
