/* Plain C twin of the scenario grid (goal K1): the same formula, loops and rounding as exchange/pricing/_kernel.pyx,
   written without Cython, so that a figure can be told apart from its machine. Loaded with ctypes; no checks. */
#include <math.h>
#include <stdint.h>

#define COLUMNS_MAX 64
#define ROOT_HALF 0.70710678118654752440

typedef struct {
    double range_up, range_down, lowest_up, short_power, long_power, floor_years;
    double linear_cap, linear_base, absolute_cap, absolute_base, lowest_width, width, width_static, width_scale;
} Shock;

static double cumulative(double x) { return 0.5 * erfc(-x * ROOT_HALF); }

static double skew(double distance, double cap, double peak) {
    double change = distance * cap / peak;
    change = distance >= 0.0 ? fmin(change, cap) : fmax(change, -cap);
    return fmax(0.0, 1.0 + change);
}

static double price(int is_call, double forward, double log_forward, double strike, double log_strike, double deviation,
                    double inverse) {
    double value = fmax(is_call ? forward - strike : strike - forward, 0.0);
    double most = is_call ? forward : strike;
    if (deviation <= 0.0 || strike <= 0.0 || forward <= 0.0) return value;
    if (deviation >= 24.0) return most;
    double d1 = (log_forward - log_strike) * inverse + 0.5 * deviation;
    double d2 = d1 - deviation;
    if (forward <= strike)
        value += fmax(forward * cumulative(d1) - strike * cumulative(d2), 0.0);
    else
        value += fmax(strike * cumulative(-d2) - forward * cumulative(-d1), 0.0);
    return fmin(value, most);
}

void scenario_grid(int64_t rows, int64_t columns, const uint8_t *is_call, const double *strikes,
                   const double *volatilities, const int32_t *expiries, const double *fixed, const double *moving,
                   const double *years, const double *discounts, const double *spots, const uint8_t *moves,
                   const double *shocks, int64_t *out) {
    const Shock *shock = (const Shock *)shocks;
    double forwards[COLUMNS_MAX], logs[COLUMNS_MAX];
    double root = 0, up = 0, down = 0, linear = 0, absolute = 0, peak = 0, forward = 0;
    int32_t current = -1;
    for (int64_t row = 0; row < rows; row++) {
        int32_t at = expiries[row];
        if (at != current) {
            double power = years[at] <= 30.0 / 365.0 ? shock->short_power : shock->long_power;
            double term = pow(30.0 / 365.0 / fmax(years[at], shock->floor_years), power);
            current = at;
            root = sqrt(years[at]);
            forward = fixed[at] + moving[at];
            up = 1.0 + shock->range_up * term;
            down = fmax(0.0, 1.0 - shock->range_down * term);
            linear = shock->linear_base * root + shock->linear_cap;
            absolute = shock->absolute_base * root + shock->absolute_cap;
            peak = fmax(shock->lowest_width, root * shock->width * (shock->width_static + root * shock->width_scale));
            for (int64_t column = 0; column < columns; column++) {
                forwards[column] = fixed[at] + moving[at] * spots[column];
                logs[column] = log(forwards[column]);
            }
        }
        double strike = strikes[row], volatility = volatilities[row];
        double log_strike = log(strike), distance = log(strike / forward);
        double deviations[5] = {volatility, fmax(shock->lowest_up, volatility * up), volatility * down,
                                volatility * skew(distance, linear, peak),
                                volatility * skew(fabs(distance), absolute, peak)};
        double inverses[5];
        for (int move = 0; move < 5; move++) {
            deviations[move] *= root;
            inverses[move] = 1.0 / deviations[move];
        }
        for (int64_t column = 0; column < columns; column++) {
            int move = moves[column];
            double value = discounts[at] * price(is_call[row], forwards[column], logs[column], strike, log_strike,
                                                 deviations[move], inverses[move]);
            out[row * columns + column] = (int64_t)rint(value * 1e9);
        }
    }
}
