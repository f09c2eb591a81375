//! Whether an address is paid, in words and as JSON.

use super::coinbase::Coinbase;
use crate::cli::arguments::PayAddress;
use bitcoin::{Address, Amount, Network};
use serde_json::{Value, json};
use std::fmt::Write;

/// What a pool's job says about an address.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(super) pool: String,
    pub(super) address: PayAddress,
    pub(super) network: Network,
    pub(super) coinbase: Coinbase,
    pub(super) branches: usize,
    pub(super) doubt: Option<String>,
}

impl Verdict {
    /// The address gets a part of the block.
    pub fn is_paid(&self) -> bool {
        self.paid() > Amount::ZERO
    }

    fn paid(&self) -> Amount {
        let own = self.coinbase.outputs.iter().filter(|output| output.script == self.address.script);
        own.map(|output| output.value).sum()
    }

    fn percent(&self, part: Amount) -> f64 {
        100.0 * part.to_sat() as f64 / self.coinbase.total().to_sat().max(1) as f64
    }

    /// Who an output pays, for people.
    fn payee(&self, script: &bitcoin::Script) -> String {
        match Address::from_script(script, self.network) {
            Ok(address) => address.to_string(),
            Err(_) if script.is_op_return() => "nobody (data)".to_owned(),
            Err(_) => format!("script {}", script.to_hex_string()),
        }
    }

    /// New coins at this height, before fees.
    fn subsidy(&self) -> Amount {
        let interval = if self.network == Network::Regtest { 150 } else { 210_000 };
        let halvings = self.coinbase.height / interval;
        Amount::from_sat(5_000_000_000_u64.checked_shr(halvings).unwrap_or(0))
    }

    /// Sentences and the list of outputs.
    pub fn text(&self) -> String {
        let Coinbase { height, script_bytes, text: tag, outputs } = &self.coinbase;
        let (paid, total) = (self.paid(), self.coinbase.total());
        let mut text = match self.is_paid() {
            true => format!(
                "{} is paid: {:.4} percent of a block found at {}, {paid} ({} sats) of {total}.\n",
                self.address.text,
                self.percent(paid),
                self.pool,
                paid.to_sat()
            ),
            false => format!(
                "{} is NOT paid by a block found at {}: not one satoshi of {total}.\n",
                self.address.text, self.pool
            ),
        };
        text += "Outputs of the coinbase:\n";
        for output in outputs {
            let mark = if output.script == self.address.script { " <- yours" } else { "" };
            let (percent, value) = (self.percent(output.value), output.value.to_sat());
            let _ = writeln!(text, "  {percent:>8.4} %  {value:>14} sats  {}{mark}", self.payee(&output.script));
        }
        let _ = writeln!(
            text,
            "Height {height} (BIP34), scriptSig of {script_bytes} bytes, {} merkle branches, text \"{tag}\".",
            self.branches
        );
        for note in self.notes() {
            let _ = writeln!(text, "Note: {note}.");
        }
        text
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (total, subsidy) = (self.coinbase.total(), self.subsidy());
        if total < subsidy {
            notes.push(format!("the outputs are {} less than the subsidy of this height, {subsidy}", subsidy - total));
        }
        if let Some(doubt) = &self.doubt {
            notes.push(format!("a stranger would not believe the pool's certificate: {doubt}"));
        }
        notes
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let outputs = self.coinbase.outputs.iter().map(|output| {
            json!({
                "sats": output.value.to_sat(),
                "percent": self.percent(output.value),
                "address": Address::from_script(&output.script, self.network).ok().map(|address| address.to_string()),
                "script": output.script.to_hex_string(),
                "yours": output.script == self.address.script,
            })
        });
        json!({
            "pool": self.pool,
            "address": self.address.text,
            "paid": self.is_paid(),
            "sats": self.paid().to_sat(),
            "percent": self.percent(self.paid()),
            "total_sats": self.coinbase.total().to_sat(),
            "height": self.coinbase.height,
            "script_sig_bytes": self.coinbase.script_bytes,
            "merkle_branches": self.branches,
            "coinbase_text": self.coinbase.text,
            "outputs": outputs.collect::<Vec<_>>(),
            "notes": self.notes(),
        })
    }
}
