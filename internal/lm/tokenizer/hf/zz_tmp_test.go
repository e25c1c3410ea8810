package hf
import ("testing";"bufio";"os";"strings";"strconv";"fmt")
func TestZZ(t *testing.T){
 f,_:=os.Open("/tmp/tk/uni.txt"); s:=bufio.NewScanner(f); var rs [][2]rune
 for s.Scan(){ c:=strings.Split(s.Text()," "); u,_:=strconv.ParseUint(c[0],16,32); r:=rune(u)
  if isOther(r)&&c[5]!="1"{ if k:=len(rs);k>0&&rs[k-1][1]==r-1{rs[k-1][1]=r}else{rs=append(rs,[2]rune{r,r})}}
  if !isOther(r)&&c[5]=="1"{fmt.Printf("rust-only %X\n",r)}
 }
 for _,x:=range rs{fmt.Printf("0x%X, 0x%X, ",x[0],x[1])}; fmt.Println()
}
