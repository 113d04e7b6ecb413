// A price-time book as anyone writes it first: std::map of levels, std::list of orders, an id table for cancels.
//
//   map_book RECORDS            match all records, print the seconds it took
//   map_book RECORDS report     match them and print the report text, which must be the core's
//
// It does what the core does for these records, events included, and nothing of what the core can do beyond them.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <list>
#include <map>
#include <unordered_map>
#include <vector>

namespace {

enum Type : uint8_t { NEW, CANCEL, MODIFY };
enum Line : uint8_t { ACCEPTED, TRADE, CANCELED, AMENDED, CANCEL_REFUSED, MODIFY_REFUSED };
constexpr size_t BATCH = 256;

struct Record {
    uint8_t type, side, ioc, zero;
    uint32_t quantity;
    uint64_t sequence, order_id;
    int64_t price, instrument;
};
static_assert(sizeof(Record) == 40);

struct Event {
    uint8_t line, side;
    uint16_t code;
    uint32_t quantity;
    uint64_t sequence, order_id;
    int64_t price;
};
static_assert(sizeof(Event) == 32);

struct Order {
    uint64_t id;
    uint32_t remaining;
};
using Level = std::list<Order>;

struct Book {
    std::map<int64_t, Level> sides[2];
};

struct Resting {
    Book *book = nullptr;
    uint8_t side = 0;
    std::map<int64_t, Level>::iterator level;
    Level::iterator order;
};

std::unordered_map<int64_t, Book> books;
std::vector<Resting> resting;
std::vector<Event> events;

void emit(Line line, const Record &record, uint8_t side, uint64_t order_id, int64_t price, uint32_t quantity) {
    events.push_back({line, side, 0, quantity, record.sequence, order_id, price});
}

void remove(Resting &place) {
    place.level->second.erase(place.order);
    if (place.level->second.empty()) place.book->sides[place.side].erase(place.level);
    place.book = nullptr;
}

// Fills makers of one level, oldest first.
uint32_t match_level(const Record &record, int64_t price, Level &level, uint32_t left) {
    while (left && !level.empty()) {
        Order &maker = level.front();
        uint32_t quantity = left < maker.remaining ? left : maker.remaining;
        emit(TRADE, record, record.side, maker.id, price, quantity);
        left -= quantity;
        maker.remaining -= quantity;
        if (!maker.remaining) {
            resting[maker.id].book = nullptr;
            level.pop_front();
        }
    }
    return left;
}

uint32_t match(const Record &record, Book &book) {
    auto &makers = book.sides[1 - record.side];
    uint32_t left = record.quantity;
    while (left && !makers.empty()) {
        auto best = record.side ? std::prev(makers.end()) : makers.begin();
        if (record.side ? best->first < record.price : best->first > record.price) break;
        left = match_level(record, best->first, best->second, left);
        if (best->second.empty()) makers.erase(best);
    }
    return left;
}

void rest(const Record &record, Book &book, uint32_t left) {
    auto level = book.sides[record.side].try_emplace(record.price).first;
    level->second.push_back({record.order_id, left});
    resting[record.order_id] = {&book, record.side, level, std::prev(level->second.end())};
}

void apply(const Record &record) {
    Resting &place = resting[record.order_id];
    if (record.type != NEW && !place.book) {
        emit(record.type == CANCEL ? CANCEL_REFUSED : MODIFY_REFUSED, record, 0, record.order_id, 0, 0);
        return;
    }
    if (record.type == CANCEL) {
        emit(CANCELED, record, place.side, record.order_id, place.level->first, place.order->remaining);
        remove(place);
        return;
    }
    Book &book = record.type == NEW ? books[record.instrument] : *place.book;
    if (record.type == MODIFY) remove(place);
    emit(record.type == NEW ? ACCEPTED : AMENDED, record, record.side, record.order_id, record.price, record.quantity);
    uint32_t left = match(record, book);
    if (left && record.ioc)
        emit(CANCELED, record, record.side, record.order_id, record.price, left);
    else if (left)
        rest(record, book, left);
}

void print(const Event &event, uint64_t taker_id) {
    static bool is_first = true;
    if (!is_first) std::putchar('\n');
    is_first = false;
    std::printf("%u,%" PRIu64 ",", event.line, event.sequence);
    if (event.line == TRADE)
        std::printf("%" PRId64 ",%u,%" PRIu64 ",%" PRIu64, event.price, event.quantity, event.order_id, taker_id);
    else if (event.line >= CANCEL_REFUSED)
        std::printf("%" PRIu64, event.order_id);
    else
        std::printf("%u,%" PRIu64 ",%" PRId64, event.side, event.order_id, event.price);
    if (event.line == ACCEPTED || event.line == AMENDED) std::printf(",%u", event.quantity);
}

// The events of one record; an amend's own line is of a greater type than its trades and comes last.
void report() {
    const Event &first = events.front();
    if (first.line != AMENDED) print(first, first.order_id);
    for (size_t index = 1; index < events.size(); index++) print(events[index], first.order_id);
    if (first.line == AMENDED) print(first, first.order_id);
}

std::vector<Record> load(const char *path) {
    std::vector<Record> records;
    unsigned char header[16];
    uint32_t count = 0;
    FILE *file = std::fopen(path, "rb");
    if (!file) return records;
    if (std::fread(header, sizeof header, 1, file) == 1) std::memcpy(&count, header + 12, sizeof count);
    records.resize(count);
    if (std::fread(records.data(), sizeof(Record), count, file) != count) records.clear();
    std::fclose(file);
    return records;
}

// The thread's own time: what other processes of the machine take is not counted.
double thread_s() {
    timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return static_cast<double>(at.tv_sec) + 1e-9 * static_cast<double>(at.tv_nsec);
}

}  // namespace

int main(int argc, char **argv) {
    std::vector<Record> records;
    if (argc > 1) records = load(argv[1]);
    if (records.empty()) return std::fprintf(stderr, "usage: map_book RECORDS [report]\n"), 2;
    uint64_t id_max = 0;
    for (const Record &record : records)
        if (record.order_id > id_max) id_max = record.order_id;
    resting.resize(id_max + 1);
    events.reserve(1 << 20);
    const bool reports = argc > 2;
    const double start = thread_s();
    for (size_t at = 0; at < records.size(); at++) {
        if (reports || at % BATCH == 0) events.clear();
        apply(records[at]);
        if (reports) report();
    }
    if (!reports) std::printf("%.9f\n", thread_s() - start);
    return 0;
}
